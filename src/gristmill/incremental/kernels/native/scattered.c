/* Depthwise convolutions of pixels that are read wherever they lie; and 1x1 convolutions of what
   differs from a map that is known. */

#include "scattered.h"

#include "differences.h"
#include "groups.h"
#include "vectors.h"

/* Compute pixels of a map of which some places have other values than the whole.

   base: `count` rows of channels, the whole map's pixels.  patches: likewise, the other values.
   zeros: a row of zeros.  numbers: of each pixel and tap of its window, which one it reads; see
   `place_of`.  results: [pixels][channels].  Channels are whole vectors. */
void convolve_scattered(const struct convolution *convolution, const float *base, long count,
                        const float *patches, const float *zeros, const int *numbers, long pixels,
                        float *results)
{
    const long channels = convolution->inputs, window = convolution->rows * convolution->columns;
    const struct scattered map = {base, patches, zeros, count, channels, channels};
    const struct convolution taps = scattered_taps(convolution);
    struct batch batch;
    for (long first = 0; first < pixels; first += batch.pixels) {
        batch.pixels = pixels - first < MOST_PIXELS ? pixels - first : MOST_PIXELS;
        for (long p = 0; p < batch.pixels; p++)
            batch.results[p] = results + (first + p) * channels;
        numbers = scatter(&map, numbers, window, &batch);
        convolve(&taps, &batch, 0);
    }
}

const float *added_pixel(const struct shortcut *shortcut, long number, long channels)
{
    if (!shortcut)
        return 0;
    const struct scattered map = {shortcut->base, shortcut->patches, 0,
                                  shortcut->count, channels, channels};
    return place_of(&map, shortcut->numbers[number]);
}

/* Set what is added to pixels from the first one on; return whether anything is. */
static int add_shortcut(const struct shortcut *shortcut, long first, long channels,
                        struct batch *batch)
{
    for (long p = 0; p < batch->pixels; p++)
        batch->added[p] = added_pixel(shortcut, first + p, channels);
    return shortcut != 0;
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
                              const int *numbers, const struct group *groups, long number,
                              float *room, float *first_room, float *second_room, float *results)
{
    const long taps = second->rows * second->columns;
    struct shortcut part;
    for (const struct group *group = groups; group < groups + number; group++) {
        const long pixels = group->given_end - group->given;
        struct known some = *read;
        some.places += group->read;
        convolve_differences(first, &some, 0, from + group->read * first->inputs,
                             group->read_end - group->read, room, first_room);
        convolve_scattered(second, base, count, first_room - group->read * first->outputs, zeros,
                           numbers + group->given * taps, pixels, second_room);
        some = *given;
        some.places += group->given;
        convolve_differences(third, &some, shortcut_from(shortcut, group->given, &part), second_room,
                             pixels, room, results + group->given * third->outputs);
    }
}
