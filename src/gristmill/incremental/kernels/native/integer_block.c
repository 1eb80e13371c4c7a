/* A MobileNet's block of what differs from a known map, in integers of 8 bits from end to end; and the
   mean of what a 1x1 convolution makes of such differences.

   What the first and the second convolution make is never written as floats: a result's sum is the
   known one and what integers add up to, and how far that moves it, within the activation's bounds,
   is the byte that the next convolution reads. A byte counts steps of a length that is known
   beforehand: the longest one of what the convolution reads (the first one, of all pixels of a
   position; the second one, of a pixel's window), times one number for each channel. More than 127 of
   them count as 127.

   A pixel that differs by less than one NOTHINGth of what the position's pixels differ by at most is
   taken for one that does not: it would move most channels by no step or one. Fields end in many
   such pixels.

   Bytes lie as `put_fours` writes them, so that channels need not change places where four pixels'
   are brought together: of channels LANES * v + 4 * l + i (v and i below 4) of every TOGETHER, in
   the order of l, v, i. */

#include "differences.h"
#include "groups.h"
#include "vectors.h"

enum { TOGETHER = 4 * LANES, MOST_BLOCK = 6, NOTHING = 64 };

#define EACH(i, count) _Pragma("GCC unroll 6") for (int i = 0; i < (count); i++)

/* Pixels that a 1x1 convolution makes together, and what is made of them. */
struct points {
    long pixels;
    const float *reads[MOST_PIXELS];           /* bytes, four in each float's memory */
    const unsigned short *begins[MOST_PIXELS]; /* the known sums; see `load_halves` */
    float scales[MOST_PIXELS];                 /* steps of what is read */
    unsigned char *results[MOST_PIXELS];       /* bytes, */
    float per_step;                            /* one over a step of which; or */
    float *totals;                             /* where all pixels' moves are added */
};

/* What the sums of TOGETHER channels begin with, are times, and are divided by. */
struct channels {
    lanes offsets[4];
    vector scales[4], per_step[4];
};

long channels_together(void)
{
    return TOGETHER;
}

/* Bytes that a convolution makes of a pixel: some more than it has channels. */
static long made_bytes(const struct convolution *convolution)
{
    return (convolution->outputs + TOGETHER - 1) / TOGETHER * TOGETHER;
}

static const unsigned short *known_sums(const struct known *known, long pixel, long wide)
{
    return (const unsigned short *)known->sums + known->places[pixel] * wide;
}

INLINE void load_channels(const struct convolution *convolution, long from,
                          struct channels *channels)
{
    EACH(v, 4) {
        const long at = from + v * LANES;
        memcpy(&channels->offsets[v], convolution->offsets + at, sizeof channels->offsets[v]);
        channels->scales[v] = load(convolution->scales + at);
        channels->per_step[v] = load(convolution->per_step + at);
    }
}

/* How far known sums move that counts are added to, within bounds.  scale: a step of what is read. */
INLINE void find_moves(const struct convolution *convolution, const struct channels *channels,
                       const unsigned short *begins, float scale, const lanes counts[4],
                       vector found[4])
{
    const float low = convolution->low, high = convolution->high;
    vector known[4];
    load_halves(begins, known);
    load_halves(begins + 2 * LANES, known + 2);
    EACH(v, 4) {
        const vector sum = plus_product(known[v], channels->scales[v] * scale,
                                        __builtin_convertvector(counts[v], vector));
        found[v] = bounded(sum, low, high) - bounded(known[v], low, high);
    }
}

/* Write moves in steps.  per_step: one over a step of what is made. */
INLINE void put_moves(const struct convolution *convolution, const struct channels *channels,
                      const unsigned short *begins, float scale, float per_step,
                      const lanes counts[4], unsigned char *to)
{
    vector found[4];
    find_moves(convolution, channels, begins, scale, counts, found);
    EACH(v, 4)
        found[v] *= channels->per_step[v] * per_step;
    put_fours(to, found);
}

INLINE void add_moves(const struct convolution *convolution, const struct channels *channels,
                      const unsigned short *begins, float scale, const lanes counts[4],
                      vector totals[4])
{
    vector found[4];
    find_moves(convolution, channels, begins, scale, counts, found);
    EACH(v, 4)
        totals[v] += found[v];
}

/* Compute some pixels of TOGETHER channels.  adds: whether to totals. */
INLINE void mix(const struct convolution *convolution, const struct points *points, long from,
                long first, const int pixels, const int adds)
{
    const long length = words(convolution);
    const float *weights = convolution->weights + from * length, *reads[MOST_BLOCK];
    struct channels channels;
    lanes counts[MOST_BLOCK][4];
    load_channels(convolution, from, &channels);
    EACH(p, pixels) {
        reads[p] = points->reads[first + p];
        EACH(v, 4)
            counts[p][v] = channels.offsets[v];
    }
    for (long k = 0; k < length; k++, weights += TOGETHER) {
        lanes weight[4];
        EACH(v, 4)
            weight[v] = (lanes)load(weights + v * LANES);
        EACH(p, pixels) {
            const lanes read = all_bits(reads[p] + k);
            EACH(v, 4)
                counts[p][v] = plus_four_products(counts[p][v], read, weight[v]);
        }
    }
    if (adds) {
        vector totals[4];
        EACH(v, 4)
            totals[v] = load(points->totals + from + v * LANES);
        EACH(p, pixels)
            add_moves(convolution, &channels, points->begins[first + p] + from,
                      points->scales[first + p], counts[p], totals);
        EACH(v, 4)
            store(points->totals + from + v * LANES, totals[v]);
        return;
    }
    EACH(p, pixels)
        put_moves(convolution, &channels, points->begins[first + p] + from,
                  points->scales[first + p], points->per_step, counts[p],
                  points->results[first + p] + from);
}

/* A function for each number of pixels, so that all counts lie in registers. */
#define MIX(pixels)                                                                              \
    static void mix_##pixels(const struct convolution *convolution, const struct points *points, \
                             long from, long first)                                              \
    {                                                                                            \
        mix(convolution, points, from, first, pixels, 0);                                        \
    }                                                                                            \
    static void add_##pixels(const struct convolution *convolution, const struct points *points, \
                             long from, long first)                                              \
    {                                                                                            \
        mix(convolution, points, from, first, pixels, 1);                                        \
    }
MIX(1) MIX(2) MIX(3) MIX(4) MIX(5) MIX(6)

static void (*const mixes[2][MOST_BLOCK + 1])(const struct convolution *, const struct points *,
                                              long, long) = {
    {0, mix_1, mix_2, mix_3, mix_4, mix_5, mix_6},
    {0, add_1, add_2, add_3, add_4, add_5, add_6},
};

/* Write differences of pixels as bytes, `words` of each. Return the longest step; no number if one is
   none.  scales: steps of each. */
static float round_pixels(const struct convolution *convolution, const struct known *known,
                          const float *from, long pixels, float *to, float *scales)
{
    const long inputs = convolution->inputs, length = words(convolution);
    float longest = 0.0f;
    for (long p = 0; p < pixels; p++) {
        scales[p] = round_to_bytes(from + p * inputs, known->values + known->places[p] * inputs,
                                   inputs, (unsigned char *)(to + p * length));
        if (longest == longest && !(scales[p] <= longest)) /* no number remains none */
            longest = scales[p];
    }
    return longest;
}

/* List the pixels that differ by enough to count, or by no number. Return how many these are.
   scales: steps of each; longest: of these. */
static long list_moved(const float *scales, long pixels, float longest, int *moved)
{
    long count = 0;
    for (int p = 0; p < pixels; p++) {
        moved[count] = p;
        count += !(scales[p] * NOTHING <= longest);
    }
    return count;
}

/* Convolve pixels of some numbers one by one.  read: `words` of each; scales: steps of each.
   to: bytes of those pixels alone, in steps one over which is `per_step`; or if there are totals,
   these are all. */
static void mix_pixels(const struct convolution *convolution, const struct known *known,
                       const float *read, const float *scales, const int *numbers, long pixels,
                       float per_step, unsigned char *to, float *totals)
{
    const long length = words(convolution), wide = made_bytes(convolution);
    struct points points = {.per_step = per_step, .totals = totals};
    for (const int *end = numbers + pixels; numbers < end; numbers += points.pixels) {
        points.pixels = end - numbers < MOST_PIXELS ? end - numbers : MOST_PIXELS;
        for (long p = 0; p < points.pixels; p++) {
            points.reads[p] = read + numbers[p] * length;
            points.begins[p] = known_sums(known, numbers[p], wide);
            points.scales[p] = scales[numbers[p]];
            points.results[p] = to;
            to += totals ? 0 : wide;
        }
        const long blocks = (points.pixels + MOST_BLOCK - 1) / MOST_BLOCK;
        for (long from = 0; from < wide; from += TOGETHER)
            for (long number = 0; number < blocks; number++) {
                const long first = points.pixels * number / blocks;
                const long next = points.pixels * (number + 1) / blocks;
                mixes[totals != 0][next - first](convolution, &points, from, first);
            }
    }
}

/* Pixels that a depthwise convolution makes together. */
struct windows {
    long pixels;
    const unsigned char *reads[9][MOST_PIXELS]; /* bytes of each tap */
    const unsigned short *begins[MOST_PIXELS];  /* the known sums; see `load_halves` */
    float per_steps[MOST_PIXELS];               /* one over a step of what is made */
};

/* Whether a pixel's window is that of the one before, a column further. */
static int follows(const struct windows *windows, long pixel)
{
    for (long tap = 0; tap < 9; tap += 3)
        if (windows->reads[tap][pixel] != windows->reads[tap + 1][pixel - 1] ||
            windows->reads[tap + 1][pixel] != windows->reads[tap + 2][pixel - 1])
            return 0;
    return 1;
}

/* Three rows of a window's column; the weights of the fourth are zero. */
INLINE void load_column(const struct windows *windows, long column, long pixel, long from,
                        lanes rows[4])
{
    const unsigned char *last = windows->reads[6 + column][pixel] + from;
    load_fours(windows->reads[column][pixel] + from, windows->reads[3 + column][pixel] + from, last,
               last, rows);
}

INLINE void add_column(lanes counts[4], const lanes rows[4], const float *weights)
{
    EACH(v, 4)
        counts[v] = plus_four_products(counts[v], rows[v], (lanes)load(weights + v * LANES));
}

/* Convolve channels one by one, with windows of 3x3. Neighbours are added up together: each column
   of their windows is loaded once.  scale: of what is read. */
static void separate(const struct convolution *convolution, const struct windows *windows,
                     float scale, unsigned char *to)
{
    const long pixels = windows->pixels;
    const long wide = made_bytes(convolution), length = words(convolution);
    char followed[MOST_PIXELS] = {0};
    for (long p = 1; p < pixels; p++)
        followed[p - 1] = (char)follows(windows, p);
    for (long from = 0; from < wide; from += TOGETHER) {
        const float *weights = convolution->weights + from * length;
        struct channels channels;
        lanes here[4], next[4], after[4], rows[4]; /* counts of a pixel and of the two behind it */
        load_channels(convolution, from, &channels);
        for (long p = 0; p < pixels; p++) {
            if (p == 0 || !followed[p - 1]) {
                memcpy(here, channels.offsets, sizeof here);
                memcpy(next, channels.offsets, sizeof next);
                load_column(windows, 0, p, from, rows);
                add_column(here, rows, weights);
                load_column(windows, 1, p, from, rows);
                add_column(here, rows, weights + TOGETHER);
                add_column(next, rows, weights);
            }
            memcpy(after, channels.offsets, sizeof after);
            load_column(windows, 2, p, from, rows);
            add_column(here, rows, weights + 2 * TOGETHER);
            if (followed[p]) {
                add_column(next, rows, weights + TOGETHER);
                add_column(after, rows, weights);
            }
            put_moves(convolution, &channels, windows->begins[p] + from, scale,
                      windows->per_steps[p], here, to + p * wide + from);
            memcpy(here, next, sizeof here);
            memcpy(next, after, sizeof next);
        }
    }
}

/* How many steps the largest of some bytes is. */
static unsigned char most_steps(const unsigned char *bytes, long count)
{
    unsigned char most = 0;
    for (long n = 0; n < count; n++) {
        const unsigned char steps = bytes[n] < 128 ? 128 - bytes[n] : bytes[n] - 128;
        most = steps > most ? steps : most;
    }
    return most;
}

/* Compute what `convolve_differing_block` does, position by position.

   read, deep, given: what is known of the convolutions; of `deep`, the second one's, no values.
   Sums of the first two are bfloat16 of as many channels as they make bytes.
   groups: a position each.
   room: for the position of most pixels, words of what the first convolution reads and four floats for
   each, and two more; first_room: bytes that it makes, and those of one pixel more; second_room: those
   of the second one, of MOST_PIXELS. */
void convolve_integer_block(const struct convolution *first, const struct convolution *second,
                            const struct convolution *third, const struct known *read,
                            const struct known *deep, const struct known *given,
                            const struct shortcut *shortcut, const float *from, long count,
                            const int *numbers, const struct group *groups, long number,
                            float *room, unsigned char *first_room, unsigned char *second_room,
                            float *results)
{
    const long length = words(first), wide = made_bytes(first);
    struct convolution none = *third; /* what it makes of pixels that do not differ */
    none.inputs = 0;
    /* Before the first pixel lies one that does not differ. */
    memset(first_room, 128, wide);
    first_room += wide;
    for (const struct group *group = groups; group < groups + number; group++) {
        const long rows = group->read_end - group->read;
        float *scales = room + rows * length, *most = scales + rows + 1;
        int *moved = (int *)(most + rows), *slots = moved + rows + 1; /* where rows are in it */
        struct known some = *read;
        some.places += group->read;
        const float longest =
            round_pixels(first, &some, from + group->read * first->inputs, rows, room, scales);
        const float per_step = longest > 0.0f ? 1.0f / longest : 0.0f;
        const long pixels = list_moved(scales, rows, longest, moved);
        mix_pixels(first, &some, room, scales, moved, pixels, per_step, first_room, 0);
        memset(slots - 1, -1, sizeof *slots * (rows + 1));
        most[-1] = 0.0f;
        for (int p = 0; p < pixels; p++) {
            slots[moved[p]] = p;
            most[p] = most_steps(first_room + p * wide, wide);
        }
        struct windows windows;
        struct batch differing, same;
        for (long pixel = group->given; pixel < group->given_end;) {
            const long left = group->given_end - pixel;
            const long end = pixel + (left < MOST_PIXELS ? left : MOST_PIXELS);
            differing.pixels = same.pixels = 0;
            for (; pixel < end; pixel++) {
                const long next = differing.pixels;
                float steps = 0.0f;
                for (long tap = 0; tap < 9; tap++) {
                    const long patch = numbers[pixel * 9 + tap] - count - 1 - group->read;
                    const long at = slots[patch < 0 ? -1 : patch];
                    windows.reads[tap][next] = first_room + at * wide;
                    steps = most[at] > steps ? most[at] : steps;
                }
                struct batch *batch = steps > 0.0f ? &differing : &same;
                const long p = batch->pixels++;
                windows.begins[next] = known_sums(deep, pixel, wide);
                windows.per_steps[next] = 127.0f / steps * per_step;
                batch->reads[0][p] = (const float *)(second_room + p * wide);
                batch->scales[p] = steps / 127.0f * longest;
                batch->begins[p] = given->sums + given->places[pixel] * third->outputs;
                batch->results[p] = results + pixel * third->outputs;
                batch->added[p] = added_pixel(shortcut, pixel, third->outputs);
            }
            windows.pixels = differing.pixels;
            separate(second, &windows, longest, second_room);
            convolve(third, &differing, shortcut != 0);
            convolve(&none, &same, shortcut != 0);
        }
    }
}

/* Compute the mean of a convolution's results over a map of so many pixels, position by position.

   known: of the convolution; sums as those of the first one above.  mean: of the known map's.
   spans: of each position, the first row that it reads and the one after the last.
   room: for the position of most rows, words of what is read and two floats for each; totals: floats,
   as many as the convolution makes bytes.  results: [number][outputs]. */
void average_integers(const struct convolution *convolution, const struct known *known,
                      const float *mean, long pixels, const float *from, const long *spans,
                      long number, float *room, float *totals, float *results)
{
    const long length = words(convolution), wide = made_bytes(convolution);
    for (const long *span = spans; span < spans + 2 * number; span += 2) {
        const long rows = span[1] - span[0];
        float *scales = room + rows * length;
        int *moved = (int *)(scales + rows);
        struct known some = *known;
        some.places += span[0];
        const float longest =
            round_pixels(convolution, &some, from + span[0] * convolution->inputs, rows, room,
                         scales);
        memset(totals, 0, sizeof *totals * wide);
        mix_pixels(convolution, &some, room, scales, moved,
                   list_moved(scales, rows, longest, moved), 0.0f, 0, totals);
        for (long channel = 0; channel < convolution->outputs; channel++)
            *results++ = mean[channel] + totals[channel] / (float)pixels;
    }
}

/* Lay out [outputs][inputs] weights of a convolution that makes bytes, its outputs filled up with
   zeros as its bytes are; see `pack_rounded_weights`. */
void pack_integer_weights(const struct convolution *convolution, const float *weights,
                          float *packed, float *scales, int *offsets)
{
    struct convolution part = *convolution;
    part.outputs = TOGETHER;
    for (long from = 0; from < convolution->outputs; from += TOGETHER)
        pack_rounded_weights(&part, weights + from * part.inputs, packed + from * words(&part),
                             scales + from, offsets + from);
}
