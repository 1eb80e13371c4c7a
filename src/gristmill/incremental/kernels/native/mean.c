/* Means of a map's channels, and of what a 1x1 convolution makes of a map.

   Pixels are added up one after the other, in doubles: maps may have any number of pixels. So a mean
   has the same bits whatever computed the pixels, and however many at a time. */

#include <string.h>

#include "convolution.h"
#include "vectors.h"

/* Doubles of a vector; vectors of sums that fit the registers; pixels of maps for which a slice's
   weights are read once, few enough for what is read to stay in the cache. */
enum { HALF = LANES / 2, TOGETHER = 8, GROUP = 300 };

typedef float half __attribute__((vector_size(2 * LANES)));
typedef double doubles __attribute__((vector_size(4 * LANES)));

/* Add pixels to the sums of their channels.  rows: `step` floats apart. */
static void add_pixels(const float *rows, long step, long pixels, long channels, double *sums)
{
    long c = 0;
    for (; c + TOGETHER * HALF <= channels; c += TOGETHER * HALF) {
        doubles found[TOGETHER];
        memcpy(found, sums + c, sizeof found);
        for (long p = 0; p < pixels; p++) {
            half read[TOGETHER];
            memcpy(read, rows + p * step + c, sizeof read);
            _Pragma("GCC unroll 8") for (int n = 0; n < TOGETHER; n++)
                found[n] += __builtin_convertvector(read[n], doubles);
        }
        memcpy(sums + c, found, sizeof found);
    }
    for (; c < channels; c++)
        for (long p = 0; p < pixels; p++)
            sums[c] += (double)rows[p * step + c];
}

static void divide(const double *sums, long pixels, long channels, float *means)
{
    for (long c = 0; c < channels; c++)
        means[c] = (float)(sums[c] / (double)pixels);
}

/* Compute the means of maps, [maps][pixels][channels]. */
void average(const float *values, long maps, long pixels, long channels, float *means)
{
    for (long map = 0; map < maps; map++, values += pixels * channels)
        for (long c = 0; c < channels; c += SLICE) {
            const long wide = channels - c < SLICE ? channels - c : SLICE;
            double sums[SLICE] = {0};
            add_pixels(values + c, channels, pixels, wide, sums);
            divide(sums, pixels, wide, means + map * channels + c);
        }
}

/* Compute the mean of a slice of a convolution's results of a map. */
static void average_slice(const struct convolution *convolution, struct slice slice,
                          const float *from, long pixels, float *room, float *means)
{
    double sums[SLICE] = {0};
    const long wide = slice.end - slice.begin;
    struct batch batch = {.slides = 0};
    for (long first = 0; first < pixels; first += batch.pixels) {
        batch.pixels = pixels - first < MOST_PIXELS ? pixels - first : MOST_PIXELS;
        for (long p = 0; p < batch.pixels; p++) {
            batch.reads[0][p] = from + (first + p) * convolution->inputs;
            batch.results[p] = room + p * SLICE - slice.begin;
        }
        convolve_slice(convolution, &batch, 0, slice);
        add_pixels(room, SLICE, batch.pixels, wide, sums);
    }
    divide(sums, pixels, wide, means + slice.begin);
}

/* Compute the means of what a 1x1 convolution makes of maps, some of them slice by slice: weights
   are read once for so many pixels.

   from: rows that it reads.  spans: of each map, its first row and the one after the last.
   room: SLICE floats for each of MOST_PIXELS.  means: [maps][outputs]. */
void average_convolved(const struct convolution *convolution, const float *from, const long *spans,
                       long maps, float *room, float *means)
{
    const long outputs = convolution->outputs;
    for (long first = 0, last; first < maps; first = last) {
        for (last = first + 1; last < maps && spans[2 * last + 1] - spans[2 * first] <= GROUP;)
            last++;
        for (struct slice slice = next_slice(convolution, (struct slice){0, 0});
             slice.begin < outputs; slice = next_slice(convolution, slice))
            for (long map = first; map < last; map++)
                average_slice(convolution, slice, from + spans[2 * map] * convolution->inputs,
                              spans[2 * map + 1] - spans[2 * map], room, means + map * outputs);
    }
}
