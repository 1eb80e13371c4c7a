/* Depthwise convolutions of pixels that are read wherever they lie. */

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
