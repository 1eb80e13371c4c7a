/* Depthwise convolutions of pixels that are read wherever they lie, alone or between two others. */

#include "convolution.h"

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
            for (long tap = 0; tap < taps.rows; tap++) {
                const long number = *numbers++;
                batch.reads[tap][p] = number < count   ? base + number * channels
                                      : number > count ? patches + (number - count - 1) * channels
                                                       : zeros;
            }
        }
        convolve(&taps, &batch, 0);
    }
}

/* Convolve pixels one by one. */
static void convolve_points(const struct convolution *convolution, const float *from, long pixels,
                            float *to)
{
    struct batch batch;
    for (long first = 0; first < pixels; first += batch.pixels) {
        batch.pixels = pixels - first < MOST_PIXELS ? pixels - first : MOST_PIXELS;
        for (long p = 0; p < batch.pixels; p++) {
            batch.reads[0][p] = from + (first + p) * convolution->inputs;
            batch.results[p] = to + (first + p) * convolution->outputs;
        }
        convolve(convolution, &batch, 0);
    }
}

/* Compute a 1x1 convolution, a depthwise one as above and another 1x1 convolution, group by group of
   pixels, so that what is between them stays in the cache.

   from: rows that the first one reads.  base, count, zeros, numbers: as above, of its results.
   groups: of each, first pixel that the first convolution computes and the one after the last,
   which hold all patches that the group reads; and likewise of the results.
   first_room, second_room: rows of the two wide maps, for the largest group. */
void convolve_block(const struct convolution *first, const struct convolution *second,
                    const struct convolution *third, const float *from, const float *base,
                    long count, const float *zeros, const int *numbers, const long *groups,
                    long number, float *first_room, float *second_room, float *results)
{
    const long taps = second->rows * second->columns;
    for (const long *group = groups; group < groups + 4 * number; group += 4) {
        const long pixels = group[3] - group[2];
        convolve_points(first, from + group[0] * first->inputs, group[1] - group[0], first_room);
        convolve_scattered(second, base, count, first_room - group[0] * first->outputs, zeros,
                           numbers + group[2] * taps, pixels, second_room);
        convolve_points(third, second_room, pixels, results + group[2] * third->outputs);
    }
}
