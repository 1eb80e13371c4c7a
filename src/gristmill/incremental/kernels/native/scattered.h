/* Pixels of a map of which some places have other values than the whole. */

#ifndef GRISTMILL_SCATTERED_H
#define GRISTMILL_SCATTERED_H

#include "convolution.h"

/* Where pixels lie.  base: `count` rows of channels, the whole map's.  patches: likewise, the other
   values, their rows `step` floats apart.  zeros: a row of zeros, for what lies beyond the map. */
struct scattered {
    const float *base, *patches, *zeros;
    long count, channels, step;
};

/* Where a pixel lies, by its number: of the base, or if it is more than `count`, of the patches from
   there on; `count` itself is a pixel beyond the map. */
static inline const float *place_of(const struct scattered *map, long number)
{
    return number < map->count   ? map->base + number * map->channels
           : number > map->count ? map->patches + (number - map->count - 1) * map->step
                                 : map->zeros;
}

/* A convolution of windows of which each pixel is read by itself. */
static inline struct convolution scattered_taps(const struct convolution *convolution)
{
    struct convolution taps = *convolution;
    taps.apart = 1;
    return taps;
}

/* Set what a batch's pixels read, given the numbers of each one's taps. Return those of the next. */
static inline const int *scatter(const struct scattered *map, const int *numbers, long taps,
                                 struct batch *batch)
{
    for (long p = 0; p < batch->pixels; p++)
        for (long tap = 0; tap < taps; tap++)
            batch->reads[tap][p] = place_of(map, *numbers++);
    return numbers;
}

#endif
