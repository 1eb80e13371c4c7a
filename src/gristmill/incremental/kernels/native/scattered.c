/* Depthwise convolutions of pixels that are read wherever they lie, alone or between two others; and
   1x1 convolutions of what differs from a map that is known. */

#include "differences.h"
#include "vectors.h"

enum { LINE = 16, LARGE = 1 << 18 }; /* floats of a line of the cache, and of maps beyond it */

/* Where a pixel lies; see `convolve_scattered`. */
static const float *pixel(const float *base, long count, const float *patches, const float *zeros,
                          long channels, long number)
{
    return number < count   ? base + number * channels
           : number > count ? patches + (number - count - 1) * channels
                            : zeros;
}

/* Compute pixels of a map of which some places have other values than the whole.

   base: `count` rows of channels, the whole map's pixels.  patches: likewise, the other values.
   numbers: of each pixel and tap of its window, the row it reads: of the base, or if it is more
   than `count`, of the patches from there on; `count` itself is a pixel beyond the map.
   zeros: a row of zeros.  results: [pixels][channels].  Channels are whole vectors. */
void convolve_scattered(const struct convolution *convolution, const float *base, long count,
                        const float *patches, const float *zeros, const int *numbers, long pixels,
                        float *results)
{
    const long channels = convolution->inputs;
    /* Each tap is a run of its own, as of a window of one column. */
    struct convolution taps = *convolution;
    taps.rows *= taps.columns;
    taps.columns = 1;
    struct batch batch;
    for (long first = 0; first < pixels; first += batch.pixels) {
        batch.pixels = pixels - first < MOST_PIXELS ? pixels - first : MOST_PIXELS;
        for (long p = 0; p < batch.pixels; p++) {
            batch.results[p] = results + (first + p) * channels;
            for (long tap = 0; tap < taps.rows; tap++)
                batch.reads[tap][p] = pixel(base, count, patches, zeros, channels, *numbers++);
        }
        convolve(&taps, &batch, 0);
    }
}

const float *added_pixel(const struct shortcut *shortcut, long number, long channels)
{
    return shortcut ? pixel(shortcut->base, shortcut->count, shortcut->patches, 0, channels,
                            shortcut->numbers[number])
                    : 0;
}

/* Set what is added to pixels from the first one on; return whether anything is. */
static int add_shortcut(const struct shortcut *shortcut, long first, long channels,
                        struct batch *batch)
{
    for (long p = 0; p < batch->pixels; p++)
        batch->added[p] = added_pixel(shortcut, first + p, channels);
    return shortcut != 0;
}

/* Convolve pixels one by one; a shortcut may be added to them. */
static void convolve_points(const struct convolution *convolution, const struct shortcut *shortcut,
                            const float *from, long pixels, float *to)
{
    struct batch batch;
    for (long first = 0; first < pixels; first += batch.pixels) {
        batch.pixels = pixels - first < MOST_PIXELS ? pixels - first : MOST_PIXELS;
        for (long p = 0; p < batch.pixels; p++) {
            batch.reads[0][p] = from + (first + p) * convolution->inputs;
            batch.results[p] = to + (first + p) * convolution->outputs;
        }
        convolve(convolution, &batch, add_shortcut(shortcut, first, convolution->outputs, &batch));
    }
}

/* The shortcut of pixels from the first one on; none if there is none. */
static const struct shortcut *shortcut_from(const struct shortcut *shortcut, long first,
                                            struct shortcut *some)
{
    if (!shortcut)
        return 0;
    *some = *shortcut;
    some->numbers += first;
    return some;
}

/* Ask for the rows of a base that is larger than the cache is likely to hold, well before they are read.

   numbers: `many` of rows, as above. */
static void prefetch_rows(const float *base, long count, long channels, const int *numbers,
                          long many)
{
    if (count * channels < LARGE)
        return;
    for (long n = 0; n < many; n++)
        for (long at = 0; numbers[n] < count && at < channels; at += LINE)
            __builtin_prefetch(base + numbers[n] * channels + at);
}

/* Compute a 1x1 convolution, a depthwise one as above and another 1x1 convolution, group by group of
   pixels, so that what is between them stays in the cache.

   from: rows that the first one reads.  base, count, zeros, numbers: as above, of its results.
   groups: of each, first pixel that the first convolution computes and the one after the last,
   which hold all patches that the group reads; and likewise of the results.
   shortcut: what is added to these, NULL if nothing is.
   first_room, second_room: rows of the two wide maps, for the largest group. */
void convolve_block(const struct convolution *first, const struct convolution *second,
                    const struct convolution *third, const struct shortcut *shortcut,
                    const float *from, const float *base, long count, const float *zeros,
                    const int *numbers, const long *groups, long number, float *first_room,
                    float *second_room, float *results)
{
    const long taps = second->rows * second->columns;
    struct shortcut part;
    for (const long *group = groups; group < groups + 4 * number; group += 4) {
        const long pixels = group[3] - group[2];
        prefetch_rows(base, count, first->outputs, numbers + group[2] * taps, pixels * taps);
        convolve_points(first, 0, from + group[0] * first->inputs, group[1] - group[0], first_room);
        convolve_scattered(second, base, count, first_room - group[0] * first->outputs, zeros,
                           numbers + group[2] * taps, pixels, second_room);
        convolve_points(third, shortcut_from(shortcut, group[2], &part), second_room, pixels,
                        results + group[2] * third->outputs);
    }
}

/* 1 where convolutions of so many bits take less time than others. */
long quick_with(long bits)
{
#if defined(__AVX512BF16__)
    if (bits == 16)
        return 1;
#endif
#if defined(__AVX512VNNI__)
    if (bits == 8)
        return 1;
#endif
    return 0;
}

static void round_to_pairs(const float *values, const float *known, long count, float *to)
{
    long k = 0;
    for (; k + 2 * LANES <= count; k += 2 * LANES) {
        const vector one = load(values + k) - load(known + k);
        const vector other = load(values + k + LANES) - load(known + k + LANES);
        store(to + k / 2, rounded_pairs(one, other));
    }
    for (; k < count; k += 2) {
        const float other = k + 1 < count ? values[k + 1] - known[k + 1] : 0.0f;
        to[k / 2] = rounded_pair(values[k] - known[k], other);
    }
}

float round_to_bytes(const float *values, const float *known, long count, unsigned char *to)
{
    const long whole = count / LANES * LANES;
    vector tail = {0};
    if (whole < count)
        tail = load_some(values + whole, count - whole) - load_some(known + whole, count - whole);
    lanes sizes = size_bits(tail);
    for (long k = 0; k < whole; k += LANES)
        sizes = larger_of(sizes, size_bits(load(values + k) - load(known + k)));
    const float most = largest_size(sizes);
    const vector scale = all(most > TINY && most < INFINITY ? 127.0f / most : 0.0f);
    for (long k = 0; k < whole; k += LANES)
        put_bytes(to + k, scale * (load(values + k) - load(known + k)));
    if (whole < count)
        put_bytes(to + whole, scale * tail);
    return most < INFINITY ? most / 127.0f : NAN;
}

/* Convolve pixels one by one: what differs from the known ones, rounded, is convolved and added to
   what is made of those; and so may a shortcut be.  room: `words` of MOST_PIXELS pixels. */
void convolve_differences(const struct convolution *convolution, const struct known *known,
                          const struct shortcut *shortcut, const float *from, long pixels,
                          float *room, float *to)
{
    const long inputs = convolution->inputs, outputs = convolution->outputs;
    const long length = words(convolution);
    struct batch batch;
    for (long first = 0; first < pixels; first += batch.pixels) {
        batch.pixels = pixels - first < MOST_PIXELS ? pixels - first : MOST_PIXELS;
        for (long p = 0; p < batch.pixels; p++) {
            const long place = known->places[first + p];
            const float *values = from + (first + p) * inputs;
            const float *beside = known->values + place * inputs;
            float *words = room + p * length;
            if (convolution->bits == 8)
                batch.scales[p] = round_to_bytes(values, beside, inputs, (unsigned char *)words);
            else
                round_to_pairs(values, beside, inputs, words);
            batch.reads[0][p] = words;
            batch.begins[p] = known->sums + place * outputs;
            batch.results[p] = to + (first + p) * outputs;
        }
        convolve(convolution, &batch, add_shortcut(shortcut, first, outputs, &batch));
    }
}

/* Compute what `convolve_block` does; its 1x1 convolutions are rounded ones.

   read, given: what the first of them reads, and the last.  room: for both. */
void convolve_differing_block(const struct convolution *first, const struct convolution *second,
                              const struct convolution *third, const struct known *read,
                              const struct known *given, const struct shortcut *shortcut,
                              const float *from, const float *base, long count, const float *zeros,
                              const int *numbers, const long *groups, long number, float *room,
                              float *first_room, float *second_room, float *results)
{
    const long taps = second->rows * second->columns;
    struct shortcut part;
    for (const long *group = groups; group < groups + 4 * number; group += 4) {
        const long pixels = group[3] - group[2];
        struct known some = *read;
        some.places += group[0];
        convolve_differences(first, &some, 0, from + group[0] * first->inputs,
                             group[1] - group[0], room, first_room);
        convolve_scattered(second, base, count, first_room - group[0] * first->outputs, zeros,
                           numbers + group[2] * taps, pixels, second_room);
        some = *given;
        some.places += group[2];
        convolve_differences(third, &some, shortcut_from(shortcut, group[2], &part), second_room,
                             pixels, room, results + group[2] * third->outputs);
    }
}
