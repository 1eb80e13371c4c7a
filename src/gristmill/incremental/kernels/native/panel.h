/* Some vectors of channels that are added up together, for a few pixels: how sums begin and end. */

#ifndef GRISTMILL_PANEL_H
#define GRISTMILL_PANEL_H

#include "convolution.h"
#include "vectors.h"

enum { MOST_VECTORS = 4, MOST_BLOCK = 12 };

/* Loops over a known number of pixels or vectors: only unrolled do sums lie in registers. */
#define EACH(i, count) _Pragma("GCC unroll 12") for (int i = 0; i < (count); i++)

typedef vector sums_of[MOST_BLOCK][MOST_VECTORS];

struct panel {               /* some vectors of the results' channels */
    long from;               /* first channel */
    long last;               /* channels of its last vector, LANES if that is full */
    const float *weights;
    struct slice inputs;     /* of each run, what is taken in */
    int begun, more;         /* whether some has been taken in before, and some is still to be */
    const struct list *list; /* of the block, if it is listed */
};

static inline long vectors_of(const struct convolution *convolution)
{
    return (convolution->outputs + LANES - 1) / LANES;
}

/* Vectors of the next panel, of those that are left: three leave registers for most pixels. */
static inline long panel_vectors(long left)
{
    return left <= MOST_VECTORS ? left : 3;
}

/* Floats of packed weights that each channel of the results has. */
static inline long products(const struct convolution *convolution)
{
    if (is_rounded(convolution))
        return words(convolution);
    const long taps = convolution->rows * convolution->columns;
    return convolution->depthwise ? taps : taps * convolution->inputs;
}

/* Write a vector of results, `last` lanes of it. */
INLINE void put(float *to, vector values, long last)
{
    if (last == LANES)
        store(to, values);
    else
        store_some(to, values, last);
}

struct limits { /* a copy: for all the compiler knows, what is written might change them */
    float low, high, sum_low, sum_high;
};

INLINE struct limits limits_of(const struct convolution *convolution)
{
    return (struct limits){convolution->low, convolution->high, convolution->sum_low,
                           convolution->sum_high};
}

/* Write a vector of results, `last` lanes of it. */
INLINE void put_result(const struct limits *limits, vector sums, float *result, long last)
{
    put(result, bounded(sums, limits->low, limits->high), last);
}

/* The same, with something added. */
INLINE void put_sum(const struct limits *limits, vector sums, const float *added, float *result,
                    long last)
{
    vector found = bounded(sums, limits->low, limits->high);
    found += last == LANES ? load(added) : load_some(added, last);
    put(result, bounded(found, limits->sum_low, limits->sum_high), last);
}

INLINE void finish(const struct convolution *convolution, const struct panel *panel,
                   const struct batch *batch, int adds, long first, const int pixels,
                   const int vectors, sums_of sums)
{
    const struct limits limits = limits_of(convolution);
    const long last = panel->last, from = panel->from;
    if (!adds) {
        EACH(p, pixels) {
            float *result = batch->results[first + p] + from;
            EACH(v, vectors)
                put_result(&limits, sums[p][v], result + v * LANES,
                           v < vectors - 1 ? LANES : last);
        }
        return;
    }
    EACH(p, pixels) {
        float *result = batch->results[first + p] + from;
        const float *added = batch->added[first + p] + from;
        EACH(v, vectors)
            put_sum(&limits, sums[p][v], added + v * LANES, result + v * LANES,
                    v < vectors - 1 ? LANES : last);
    }
}

/* Write sums as they are, if something is still to be taken in, or else as results. */
INLINE void keep(const struct convolution *convolution, const struct panel *panel,
                 const struct batch *batch, int adds, long first, const int pixels,
                 const int vectors, sums_of sums)
{
    if (!panel->more) {
        finish(convolution, panel, batch, adds, first, pixels, vectors, sums);
        return;
    }
    EACH(p, pixels) {
        float *result = batch->results[first + p] + panel->from;
        EACH(v, vectors)
            put(result + v * LANES, sums[p][v], v < vectors - 1 ? LANES : panel->last);
    }
}

/* A vector of something's channels, of which the last vector may have fewer. */
INLINE vector part_of(const float *values, const struct panel *panel, const int v, const int vectors)
{
    const float *from = values + panel->from + v * LANES;
    return v < vectors - 1 || panel->last == LANES ? load(from) : load_some(from, panel->last);
}

INLINE void begin(const struct convolution *convolution, const struct panel *panel,
                  const struct batch *batch, long first, const int pixels, const int vectors,
                  sums_of sums)
{
    if (panel->begun) {
        EACH(p, pixels)
            EACH(v, vectors)
                sums[p][v] = part_of(batch->results[first + p], panel, v, vectors);
        return;
    }
    EACH(v, vectors) {
        const vector bias = load(convolution->bias + panel->from + v * LANES);
        EACH(p, pixels)
            sums[p][v] = bias;
    }
}

#endif
