/* Decompression of a zlib stream (RFC 1950 and 1951) whose size is known before: nothing is written beyond it. */
#ifndef EDGEMNIST_INFLATE_H
#define EDGEMNIST_INFLATE_H

#include <stddef.h>
#include <stdint.h>

#define EDGEMNIST_LONGEST_CODE 15U

typedef struct {
    const uint8_t *data;
    size_t size, at; /* bytes, and those taken */
    uint32_t bits;   /* taken and not used yet, ... */
    unsigned count;  /* ... and how many */
    int failed;      /* whether more was asked for than there is */
} bit_reader;

typedef struct {
    uint16_t counts[EDGEMNIST_LONGEST_CODE + 1U]; /* of codes of each length */
    uint16_t symbols[288];                        /* in the order of their codes */
} huffman_code;

static uint32_t take_bits(bit_reader *reader, unsigned count)
{
    while (reader->count < count) {
        if (reader->at >= reader->size) {
            reader->failed = 1;
            return 0;
        }
        reader->bits |= (uint32_t)reader->data[reader->at++] << reader->count;
        reader->count += 8U;
    }
    const uint32_t taken = reader->bits & ((UINT32_C(1) << count) - 1U);
    reader->bits >>= count;
    reader->count -= count;
    return taken;
}

/* Makes a code of the lengths of its symbols, 0 for none; returns 1 where there are more codes than a length has. */
static int make_code(huffman_code *code, const uint8_t *lengths, unsigned symbols)
{
    uint16_t places[EDGEMNIST_LONGEST_CODE + 1U] = {0};
    int32_t left = 1;
    for (unsigned length = 0; length <= EDGEMNIST_LONGEST_CODE; ++length) {
        code->counts[length] = 0;
    }
    for (unsigned symbol = 0; symbol < symbols; ++symbol) {
        ++code->counts[lengths[symbol]];
    }
    for (unsigned length = 1; length <= EDGEMNIST_LONGEST_CODE; ++length) {
        left = 2 * left - code->counts[length];
        if (left < 0) {
            return 1;
        }
        if (length > 1U) {
            places[length] = (uint16_t)(places[length - 1U] + code->counts[length - 1U]);
        }
    }
    for (unsigned symbol = 0; symbol < symbols; ++symbol) {
        if (lengths[symbol] != 0U) {
            code->symbols[places[lengths[symbol]]++] = (uint16_t)symbol;
        }
    }
    return 0;
}

/* Returns the next symbol, or 0xFFFF where the bits are no code. */
static uint32_t take_symbol(bit_reader *reader, const huffman_code *code)
{
    uint32_t value = 0, first = 0, before = 0;
    for (unsigned length = 1; length <= EDGEMNIST_LONGEST_CODE; ++length) {
        value |= take_bits(reader, 1);
        const uint32_t count = code->counts[length];
        if (value < first + count) {
            return reader->failed ? 0xFFFFU : code->symbols[before + value - first];
        }
        before += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    return 0xFFFFU;
}

/* Reads the two codes of a block: the fixed ones, or those that it begins with. Returns 1 for a damaged block. */
static int take_codes(bit_reader *reader, int fixed, huffman_code *literals, huffman_code *distances)
{
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[320] = {0};
    if (fixed) {
        for (unsigned symbol = 0; symbol < 288U; ++symbol) {
            lengths[symbol] = symbol < 144U ? 8 : symbol < 256U ? 9 : symbol < 280U ? 7 : 8;
        }
        (void)make_code(literals, lengths, 288);
        for (unsigned symbol = 0; symbol < 30U; ++symbol) {
            lengths[symbol] = 5;
        }
        (void)make_code(distances, lengths, 30);
        return 0;
    }
    const uint32_t literal_count = take_bits(reader, 5) + 257U, distance_count = take_bits(reader, 5) + 1U;
    const uint32_t length_count = take_bits(reader, 4) + 4U;
    if (literal_count > 286U || distance_count > 30U) {
        return 1;
    }
    for (unsigned i = 0; i < length_count; ++i) {
        lengths[order[i]] = (uint8_t)take_bits(reader, 3);
    }
    if (make_code(literals, lengths, 19) != 0) {
        return 1;
    }
    for (uint32_t at = 0; at < literal_count + distance_count;) {
        const uint32_t symbol = take_symbol(reader, literals);
        uint32_t repeats = 1;
        uint8_t length = (uint8_t)symbol;
        if (symbol > 18U) {
            return 1;
        }
        if (symbol == 16U) {
            if (at == 0U) {
                return 1;
            }
            length = lengths[at - 1U];
            repeats = take_bits(reader, 2) + 3U;
        } else if (symbol > 16U) {
            length = 0;
            repeats = symbol == 17U ? take_bits(reader, 3) + 3U : take_bits(reader, 7) + 11U;
        }
        if (at + repeats > literal_count + distance_count) {
            return 1;
        }
        while (repeats-- > 0U) {
            lengths[at++] = length;
        }
    }
    return make_code(literals, lengths, literal_count) != 0 ||
           make_code(distances, lengths + literal_count, distance_count) != 0;
}

/* Writes a compressed block at `*filled`; returns 1 where it is damaged, or has more than there is room for. */
static int take_block(bit_reader *reader, int fixed, uint8_t *to, size_t room, size_t *filled)
{
    static const uint16_t lengths[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                         31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t length_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4,
                                            5, 5, 5, 5, 0};
    static const uint16_t distances[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                           193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    huffman_code literal_code, distance_code;
    if (take_codes(reader, fixed, &literal_code, &distance_code) != 0) {
        return 1;
    }
    while (!reader->failed) {
        const uint32_t symbol = take_symbol(reader, &literal_code);
        if (symbol == 256U) {
            return 0;
        }
        if (symbol < 256U) {
            if (*filled >= room) {
                return 1;
            }
            to[(*filled)++] = (uint8_t)symbol;
            continue;
        }
        if (symbol > 285U) {
            return 1;
        }
        const size_t length = lengths[symbol - 257U] + take_bits(reader, length_bits[symbol - 257U]);
        const uint32_t place = take_symbol(reader, &distance_code);
        if (place > 29U) {
            return 1;
        }
        const size_t distance = distances[place] + take_bits(reader, place < 2U ? 0U : place / 2U - 1U);
        if (distance > *filled || length > room - *filled) {
            return 1;
        }
        for (size_t i = 0; i < length; ++i, ++*filled) {
            to[*filled] = to[*filled - distance];
        }
    }
    return 1;
}

/* Decompresses `size` bytes to exactly `room` of them; returns 0, or 1 where that is not what they are. */
static int inflate(const uint8_t *data, size_t size, uint8_t *to, size_t room)
{
    bit_reader reader = {data, size, 2, 0, 0, 0};
    size_t filled = 0;
    int last = 0;
    /* Deflate in a window of up to 32 KB, and no dictionary. */
    if (size < 6U || (data[0] & 0x8FU) != 8U || (data[0] * 256U + data[1]) % 31U != 0U || (data[1] & 0x20U) != 0U) {
        return 1;
    }
    while (!last && !reader.failed) {
        last = (int)take_bits(&reader, 1);
        const uint32_t kind = take_bits(&reader, 2);
        if (kind == 0U) {
            reader.bits = 0;
            reader.count = 0;
            const uint32_t length = take_bits(&reader, 16), inverse = take_bits(&reader, 16);
            if (reader.failed || (length ^ inverse) != 0xFFFFU || length > room - filled ||
                length > reader.size - reader.at) {
                return 1;
            }
            for (uint32_t i = 0; i < length; ++i) {
                to[filled++] = data[reader.at++];
            }
        } else if (kind == 3U || take_block(&reader, kind == 1U, to, room, &filled) != 0) {
            return 1;
        }
    }
    uint32_t low = 1, high = 0, sum = 0;
    for (size_t i = 0; i < filled; ++i) {
        low = (low + to[i]) % 65521U;
        high = (high + low) % 65521U;
    }
    reader.count = 0;
    reader.bits = 0;
    for (int i = 0; i < 4; ++i) {
        sum = sum << 8 | take_bits(&reader, 8);
    }
    return reader.failed || filled != room || sum != (high << 16 | low);
}

#endif
