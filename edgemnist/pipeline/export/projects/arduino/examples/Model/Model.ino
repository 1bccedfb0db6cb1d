/* Reads inputs from the serial port, EDGEMNIST_INPUTS bytes each, or as many float32 where the network takes numbers, and
 * answers each with a line: the class and its probability, or its logit where the file has no softmax; or all numbers. */
#include <edgemnist.h>

static uint8_t input[EDGEMNIST_INPUTS], outputs[EDGEMNIST_OUTPUTS];
#ifdef EDGEMNIST_QUANTIZES
static float given[EDGEMNIST_INPUTS];
#else
static uint8_t *const given = input;
#endif

static float value(int output) {
#if defined(EDGEMNIST_CLASSES) && EDGEMNIST_CLASSES > EDGEMNIST_OUTPUTS
  /* The only number is the probability of the second of two classes. */
  const float second = edgemnist_score_scale * (outputs[0] - edgemnist_score_zero_point);
  return output == 1 ? second : 1 - second;
#else
  return edgemnist_score_scale * (outputs[output] - edgemnist_score_zero_point);
#endif
}

void setup() {
  Serial.begin(115200);
  Serial.setTimeout(5000);
}

void loop() {
  const size_t size = EDGEMNIST_INPUTS * sizeof *given;
  if (Serial.readBytes(reinterpret_cast<char *>(given), size) != size) {
    return;
  }
#ifdef EDGEMNIST_QUANTIZES
  edgemnist_quantize(given, input);
#endif
  const int best = edgemnist_classify(input, outputs);
#ifdef EDGEMNIST_CLASSES
  Serial.print(edgemnist_labels[best]);
  Serial.print(' ');
  Serial.println(value(best), 4);
#else
  (void)best;
  for (int i = 0; i < EDGEMNIST_OUTPUTS; ++i) {
    Serial.print(value(i), 4);
    Serial.print(i + 1 < EDGEMNIST_OUTPUTS ? ' ' : '\n');
  }
#endif
}
