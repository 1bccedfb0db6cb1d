/* Finds the digit on a picture, a binary PGM. */
#define USAGE "Usage: digit [--json] [PICTURE]\n" \
              "Reads the digit on a binary PGM file, or from standard input.\n"
#define MOST_PIXELS (UINT32_C(1) << 26)
#define LONGEST_SIDE 65535U

typedef struct {
    uint32_t width, height;
    const uint8_t *grey; /* within the file */
} picture;

/* Reads one number of a PGM header, after white space and comments, and the byte behind it; 0 if there is none. */
static uint32_t header_number(const uint8_t *data, size_t size, size_t *at)
{
    uint32_t value = 0;
    while (*at < size && (data[*at] == ' ' || (data[*at] >= 9U && data[*at] <= 13U) || data[*at] == '#')) {
        if (data[*at] == '#') {
            while (*at < size && data[*at] != '\n') {
                ++*at;
            }
        } else {
            ++*at;
        }
    }
    for (int digits = 0; *at < size && data[*at] >= '0' && data[*at] <= '9' && digits < 6; ++digits) {
        value = 10U * value + data[(*at)++] - '0';
    }
    ++*at;
    return value;
}

/* Finds the pixels of a PGM; returns what is wrong with it, or NULL. */
static const char *read_pgm(const uint8_t *data, size_t size, picture *read)
{
    if (size < 2U || data[0] != 'P' || data[1] != '5') {
        return "is not a binary PGM. Convert it, for example with: magick picture.png digit.pgm";
    }
    size_t at = 2;
    read->width = header_number(data, size, &at);
    read->height = header_number(data, size, &at);
    if (header_number(data, size, &at) != 255U) {
        return "is a PGM of other grey levels than 0 to 255";
    }
    const uint64_t pixels = (uint64_t)read->width * read->height;
    if (pixels == 0U || read->width > LONGEST_SIDE || read->height > LONGEST_SIDE || pixels > MOST_PIXELS) {
        return "is a PGM without pixels, or of more than 67 million";
    }
    if (at > size || size - at < pixels) {
        return "ends too early";
    }
    read->grey = data + at;
    return NULL;
}

/* Brings the digit of a file's picture to `image`; returns what is wrong, or NULL. */
static const char *prepare(const uint8_t *data, size_t size, uint8_t image[EDGEMNIST_INPUTS])
{
    picture read;
    const char *const fault = read_pgm(data, size, &read);
    if (fault != NULL) {
        return fault;
    }
    edgemnist_found found;
    void *const scratch = malloc(EDGEMNIST_FIT_BYTES(read.width, read.height));
    const int answer =
        scratch == NULL ? -1 : edgemnist_fit(read.grey, read.width, read.height, image, &found, scratch);
    free(scratch);
    return answer == EDGEMNIST_FITTED   ? NULL
           : answer == EDGEMNIST_BLANK  ? "has nothing on it but its ground"
           : answer == EDGEMNIST_UNEVEN ? "has no plain white or black ground, as a photograph has none. "
                                          "`edgemnist predict` reads such"
                                        : "does not fit into the memory";
}
