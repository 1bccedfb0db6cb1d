/* Takes an input as it is: a byte for each number, or numbers as text. */
#ifdef EDGEMNIST_QUANTIZES
#define USAGE "Usage: model [--json] [FILE]\n" \
              "Answers numbers, separated by commas or spaces, of a file or from standard input.\n"
#else
#define USAGE "Usage: model [--json] [FILE]\n" \
              "Answers the bytes of a file, or of standard input.\n"
#endif

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

#ifdef EDGEMNIST_QUANTIZES
static int separates(uint8_t byte)
{
    return byte != 0U && strchr(" \t\r\n,;[]", byte) != NULL;
}
#endif

/* Brings what a file holds to `input`; returns what is wrong, or NULL. */
static const char *prepare(const uint8_t *data, size_t size, uint8_t input[EDGEMNIST_INPUTS])
{
#ifdef EDGEMNIST_QUANTIZES
    static float numbers[EDGEMNIST_INPUTS];
    size_t count = 0;
    for (size_t at = 0; at < size;) {
        char word[64];
        char *end;
        size_t length = 0, marks = count == 0U;
        for (; at < size && separates(data[at]); ++at) {
            marks += data[at] == ',' || data[at] == ';';
        }
        if (marks > 1U) {
            return "holds a field without a number";
        }
        if (at == size) {
            break;
        }
        while (at < size && !separates(data[at]) && length < sizeof word - 1U) {
            word[length++] = (char)data[at++];
        }
        word[length] = '\0';
        const float number = strtof(word, &end);
        /* A longer word would be two numbers. */
        if (end != word + length || length == sizeof word - 1U || number - number != 0.0F) {
            return "holds something else than finite numbers";
        }
        if (count < EDGEMNIST_INPUTS) {
            numbers[count] = number;
        }
        ++count;
    }
    if (count != EDGEMNIST_INPUTS) {
        return "holds more or fewer numbers than the " TEXT(EDGEMNIST_INPUTS) " that the model takes";
    }
    edgemnist_quantize(numbers, input);
#else
    if (size != EDGEMNIST_INPUTS) {
        return "holds more or fewer bytes than the " TEXT(EDGEMNIST_INPUTS) " that the model takes";
    }
    memcpy(input, data, EDGEMNIST_INPUTS);
#endif
    return NULL;
}
