/* Depthwise convolutions: of a few pixels at once, and by windows that slide along a row. */

#ifndef GRISTMILL_DEPTHWISE_H
#define GRISTMILL_DEPTHWISE_H

#include "panel.h"

/* What windows of a depthwise convolution read at one of their pixels: where each one's run begins,
   and how far on it lies. */
struct tap {
    const float *const *reads;
    long from;
};

INLINE struct tap tap_of(const struct convolution *convolution, const struct batch *batch, long row,
                         long column)
{
    if (convolution->apart)
        return (struct tap){batch->reads[row * convolution->columns + column], 0};
    const long step = convolution->column_dilation * convolution->inputs;
    return (struct tap){batch->reads[row], column * step};
}

INLINE void separate(const struct convolution *convolution, const struct panel *panel,
                     const struct batch *batch, int adds, long first, const int pixels,
                     const int vectors)
{
    sums_of sums;
    const float *weights = panel->weights;
    begin(convolution, panel, batch, first, pixels, vectors, sums);
    for (long row = 0; row < convolution->rows; row++)
        for (long column = 0; column < convolution->columns; column++) {
            const struct tap tap = tap_of(convolution, batch, row, column);
            const long at = panel->from + tap.from;
            vector weight[MOST_VECTORS];
            EACH(v, vectors)
                weight[v] = load(weights + v * LANES);
            EACH(p, pixels)
                EACH(v, vectors)
                    sums[p][v] = plus_product(sums[p][v],
                                              load(tap.reads[first + p] + at + v * LANES), weight[v]);
            weights += vectors * LANES;
        }
    finish(convolution, panel, batch, adds, first, pixels, vectors, sums);
}

INLINE void find_taps(const struct convolution *convolution, const struct batch *batch,
                      struct tap taps[3][3])
{
    EACH(row, 3)
        EACH(column, 3)
            taps[row][column] = tap_of(convolution, batch, row, column);
}

/* A vector of channels of what a pixel's window reads there. */
INLINE vector read_at(const struct tap *tap, long pixel, long channel)
{
    return load(tap->reads[pixel] + tap->from + channel);
}

/* Whether a pixel's window is that of the pixel before, one column on. */
static inline int follows(const struct tap taps[3][3], long pixel)
{
    int same = 1;
    for (int row = 0; row < 3; row++)
        for (int column = 1; column < 3; column++) {
            const struct tap *here = &taps[row][column - 1], *before = &taps[row][column];
            same &= here->reads[pixel] + here->from == before->reads[pixel - 1] + before->from;
        }
    return same;
}

struct sliding { /* windows of 3x3 over a vector of channels */
    struct tap taps[3][3];
    struct limits limits;
    vector weights[3][3], bias;
    long at, last; /* first channel; and how many */
};

/* Compute a pixel, the `number`th of its row, modulo 3; `read` holds the first two columns of its
   window and takes the last one, each in the place of the one three columns before. */
INLINE void slide_on(const struct sliding *sliding, const struct batch *batch, long pixel,
                     const int number, const int adds, const int full, vector read[3][3])
{
    const long at = sliding->at, last = full ? LANES : sliding->last;
    vector sum = sliding->bias;
    EACH(row, 3) {
        read[row][(number + 2) % 3] = read_at(&sliding->taps[row][2], pixel, at);
        EACH(column, 3)
            sum = plus_product(sum, read[row][(number + column) % 3],
                               sliding->weights[row][column]);
    }
    if (adds)
        put_sum(&sliding->limits, sum, batch->added[pixel] + at, batch->results[pixel] + at, last);
    else
        put_result(&sliding->limits, sum, batch->results[pixel] + at, last);
}

/* Compute all rows, by threes of pixels: what is read stays in its registers. */
INLINE void slide_over(const struct sliding *sliding, const struct batch *batch, const int adds,
                       const int full)
{
    for (long p = 0, end; p < batch->pixels; p = end) {
        vector read[3][3] = {0};
        EACH(row, 3)
            EACH(column, 2)
                read[row][column] = read_at(&sliding->taps[row][column], p, sliding->at);
        end = p + batch->rows[p];
        for (; p + 3 <= end; p += 3)
            EACH(number, 3)
                slide_on(sliding, batch, p + number, number, adds, full, read);
        EACH(number, 2)
            if (p + number < end)
                slide_on(sliding, batch, p + number, number, adds, full, read);
    }
}

/* The same as `separate` by windows of 3x3 that slide along rows: a column of each is read. */
static inline void slide(const struct convolution *convolution, const struct panel *panel,
                         const struct batch *batch, int adds, long vectors)
{
    struct sliding sliding = {.limits = limits_of(convolution)};
    find_taps(convolution, batch, sliding.taps);
    for (long v = 0; v < vectors; v++) {
        sliding.at = panel->from + v * LANES;
        sliding.last = v < vectors - 1 ? LANES : panel->last;
        sliding.bias = load(convolution->bias + sliding.at);
        EACH(row, 3)
            EACH(column, 3)
                sliding.weights[row][column] =
                    load(panel->weights + ((3 * row + column) * vectors + v) * LANES);
        if (adds || sliding.last < LANES)
            slide_over(&sliding, batch, adds, 0);
        else
            slide_over(&sliding, batch, 0, 1);
    }
}

#endif
