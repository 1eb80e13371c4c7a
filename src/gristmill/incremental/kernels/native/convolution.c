/* Convolutions of pixels wherever they lie, each added up in one order.

   A pixel's sum begins with the bias and takes in one product after the other, by rows, columns
   and channels of the window, whatever pixels are computed beside it: so its bits do not depend
   on them. A few pixels and a few vectors of channels are added up in registers, with the window
   innermost (Goto and van de Geijn 2008, Anatomy of high-performance matrix multiplication).
   Pixels are read through pointers, so they may lie anywhere, and nothing is copied (Dukhan 2019,
   The indirect convolution algorithm). A rounded convolution takes in products of bfloat16 by twos,
   or of bytes by fours, for which processors need half the time and a quarter. A product with zero leaves a sum as it is: what has been
   through a ReLU is mostly zeros, and products of channels that are zero in all pixels of a block
   are left out. */

#include "convolution.h"

#include <math.h>

#include "activation.h"
#include "vectors.h"

enum { MOST_VECTORS = 4, MOST_BLOCK = 12 };

/* Pixels of a block that is listed, whatever the panel; blocks of a batch; channels of a list. */
enum { LISTED_PIXELS = SUMS / MOST_VECTORS, MOST_BLOCKS = MOST_PIXELS / LISTED_PIXELS,
       MOST_LISTED = 2048 };

/* Loops over a known number of pixels or vectors: only unrolled do sums lie in registers. */
#define EACH(i, count) _Pragma("GCC unroll 12") for (int i = 0; i < (count); i++)

typedef vector sums_of[MOST_BLOCK][MOST_VECTORS];

struct panel {                /* some vectors of the results' channels */
    long from;                /* first channel */
    long last;                /* channels of its last vector, LANES if that is full */
    const float *weights;
    struct slice inputs;   /* of each run, what is taken in */
    int begun, more;          /* whether some has been taken in before, and some is still to be */
    const struct list *list;  /* of the block, if it is listed */
};

/* Channels that are not zero in every pixel of a block. */
struct list {
    long count;
    unsigned short channels[MOST_LISTED];
};

typedef void block(const struct convolution *, const struct panel *, const struct batch *, int adds,
                   long first);

static long vectors_of(const struct convolution *convolution)
{
    return (convolution->outputs + LANES - 1) / LANES;
}

/* Vectors of the next panel, of those that are left: three leave registers for most pixels. */
static long panel_vectors(long left)
{
    return left <= MOST_VECTORS ? left : 3;
}

static long block_pixels(long vectors)
{
    return SUMS / vectors < MOST_BLOCK ? SUMS / vectors : MOST_BLOCK;
}

long words(const struct convolution *convolution)
{
    if (convolution->bits == 16)
        return (convolution->inputs + 1) / 2;
    return (convolution->inputs + LANES - 1) / LANES * LANES / 4; /* bytes are written by LANES */
}

/* Floats of packed weights that each channel of the results has. */
static long products(const struct convolution *convolution)
{
    if (is_rounded(convolution))
        return words(convolution);
    const long taps = convolution->rows * convolution->columns;
    return convolution->depthwise ? taps : taps * convolution->inputs;
}

static int is_pointwise(const struct convolution *convolution)
{
    return !convolution->depthwise && convolution->rows * convolution->columns == 1;
}

long runs(const struct convolution *convolution)
{
    const int dilated = convolution->column_dilation > 1 && !convolution->depthwise;
    return convolution->rows * (dilated || convolution->apart ? convolution->columns : 1);
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

INLINE void mixed(const struct convolution *convolution, const struct panel *panel,
                  const struct batch *batch, int adds, long first, const int pixels,
                  const int vectors)
{
    sums_of sums;
    const long count = runs(convolution), from = panel->inputs.begin, end = panel->inputs.end;
    const float *weights = panel->weights + from * vectors * LANES;
    begin(convolution, panel, batch, first, pixels, vectors, sums);
    for (long run = 0; run < count; run++) {
        const float *reads[MOST_BLOCK];
        EACH(p, pixels)
            reads[p] = batch->reads[run][first + p];
        for (long k = from; k < end; k++) {
            vector weight[MOST_VECTORS];
            EACH(v, vectors)
                weight[v] = load(weights + v * LANES);
            EACH(p, pixels)
                EACH(v, vectors)
                    sums[p][v] = plus_product(sums[p][v], all(reads[p][k]), weight[v]);
            weights += vectors * LANES;
        }
    }
    keep(convolution, panel, batch, adds, first, pixels, vectors, sums);
}

INLINE void listed(const struct convolution *convolution, const struct panel *panel,
                   const struct batch *batch, int adds, long first, const int pixels,
                   const int vectors)
{
    sums_of sums;
    const struct list *list = panel->list;
    const float *weights = panel->weights, *reads[MOST_BLOCK];
    const long count = list->count;
    begin(convolution, panel, batch, first, pixels, vectors, sums);
    EACH(p, pixels)
        reads[p] = batch->reads[0][first + p];
    for (long n = 0; n < count; n++) {
        const long k = list->channels[n];
        vector weight[MOST_VECTORS];
        EACH(v, vectors)
            weight[v] = load(weights + (k * vectors + v) * LANES);
        EACH(p, pixels)
            EACH(v, vectors)
                sums[p][v] = plus_product(sums[p][v], all(reads[p][k]), weight[v]);
    }
    keep(convolution, panel, batch, adds, first, pixels, vectors, sums);
}

/* What windows of a depthwise convolution read at one of their pixels: from where on, and where each
   begins. */
struct tap {
    const float *const *reads;
    long from;
};

INLINE struct tap tap_of(const struct convolution *convolution, const struct batch *batch, long row,
                         long column)
{
    if (convolution->apart)
        return (struct tap){batch->reads[row * convolution->columns + column], 0};
    return (struct tap){batch->reads[row], column * convolution->column_dilation * convolution->inputs};
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

/* Whether a pixel's window is that of the pixel before, one column on. */
static int follows(const struct tap taps[3][3], long pixel)
{
    int same = 1;
    for (int row = 0; row < 3; row++)
        for (int column = 1; column < 3; column++) {
            const struct tap *here = &taps[row][column - 1], *before = &taps[row][column];
            same &= here->reads[pixel] + here->from == before->reads[pixel - 1] + before->from;
        }
    return same;
}

/* The same by windows of 3x3 that slide: of one that follows another, a column is read. */
static void slide(const struct convolution *convolution, const struct panel *panel,
                  const struct batch *batch, int adds, const unsigned char *following, long vectors)
{
    const struct limits limits = limits_of(convolution);
    struct tap taps[3][3];
    EACH(row, 3)
        EACH(column, 3)
            taps[row][column] = tap_of(convolution, batch, row, column);
    for (long v = 0; v < vectors; v++) {
        const long at = panel->from + v * LANES, last = v < vectors - 1 ? LANES : panel->last;
        const vector bias = load(convolution->bias + at);
        vector weight[3][3], read[3][3] = {0};
        EACH(row, 3)
            EACH(column, 3)
                weight[row][column] = load(panel->weights + ((3 * row + column) * vectors + v) * LANES);
        for (long p = 0; p < batch->pixels; p++) {
            if (following[p]) {
                EACH(row, 3) {
                    read[row][0] = read[row][1];
                    read[row][1] = read[row][2];
                }
            } else {
                EACH(row, 3)
                    EACH(column, 2)
                        read[row][column] = load(taps[row][column].reads[p] + taps[row][column].from + at);
            }
            vector sum = bias;
            EACH(row, 3) {
                read[row][2] = load(taps[row][2].reads[p] + taps[row][2].from + at);
                EACH(column, 3)
                    sum = plus_product(sum, read[row][column], weight[row][column]);
            }
            if (adds)
                put_sum(&limits, sum, batch->added[p] + at, batch->results[p] + at, last);
            else
                put_result(&limits, sum, batch->results[p] + at, last);
        }
    }
}

/* Mark the pixels whose windows follow those before. Return whether sliding pays. */
static int mark_following(const struct convolution *convolution, const struct batch *batch,
                          unsigned char *following)
{
    struct tap taps[3][3];
    long count = 0;
    if (!convolution->depthwise || convolution->rows != 3 || convolution->columns != 3)
        return 0;
    EACH(row, 3)
        EACH(column, 3)
            taps[row][column] = tap_of(convolution, batch, row, column);
    following[0] = 0;
    for (long p = 1; p < batch->pixels; p++)
        count += following[p] = (unsigned char)follows(taps, p);
    return 2 * count > batch->pixels;
}

INLINE void rounded(const struct convolution *convolution, const struct panel *panel,
                    const struct batch *batch, int adds, long first, const int pixels,
                    const int vectors)
{
    sums_of sums;
    const long length = words(convolution);
    const float *weights = panel->weights, *reads[MOST_BLOCK];
    EACH(p, pixels) {
        reads[p] = batch->reads[0][first + p];
        EACH(v, vectors)
            sums[p][v] = part_of(batch->begins[first + p], panel, v, vectors);
    }
    for (long k = 0; k < length; k++) {
        vector weight[MOST_VECTORS];
        EACH(v, vectors)
            weight[v] = load(weights + v * LANES);
        EACH(p, pixels)
            EACH(v, vectors)
                sums[p][v] = plus_two_products(sums[p][v], (vector)all_bits(reads[p] + k),
                                               weight[v]);
        weights += vectors * LANES;
    }
    finish(convolution, panel, batch, adds, first, pixels, vectors, sums);
}

INLINE void counted(const struct convolution *convolution, const struct panel *panel,
                    const struct batch *batch, int adds, long first, const int pixels,
                    const int vectors)
{
    sums_of sums;
    lanes counts[MOST_BLOCK][MOST_VECTORS];
    const long length = words(convolution);
    const float *weights = panel->weights, *reads[MOST_BLOCK];
    EACH(v, vectors) {
        lanes offset;
        memcpy(&offset, convolution->offsets + panel->from + v * LANES, sizeof offset);
        EACH(p, pixels)
            counts[p][v] = offset;
    }
    EACH(p, pixels)
        reads[p] = batch->reads[0][first + p];
    for (long k = 0; k < length; k++) {
        lanes weight[MOST_VECTORS];
        EACH(v, vectors)
            weight[v] = (lanes)load(weights + v * LANES);
        EACH(p, pixels) {
            const lanes read = all_bits(reads[p] + k);
            EACH(v, vectors)
                counts[p][v] = plus_four_products(counts[p][v], read, weight[v]);
        }
        weights += vectors * LANES;
    }
    EACH(v, vectors) {
        const vector scale = load(convolution->scales + panel->from + v * LANES);
        EACH(p, pixels)
            sums[p][v] = plus_product(part_of(batch->begins[first + p], panel, v, vectors),
                                      all(batch->scales[first + p]) * scale,
                                      __builtin_convertvector(counts[p][v], vector));
    }
    finish(convolution, panel, batch, adds, first, pixels, vectors, sums);
}

/* A function for each number of pixels and vectors, so that all sums lie in registers. */
#define BLOCK(kind, pixels, vectors)                                                         \
    static void kind##_##pixels##_##vectors(const struct convolution *convolution,           \
                                            const struct panel *panel,                       \
                                            const struct batch *batch, int adds, long first) \
    {                                                                                        \
        kind(convolution, panel, batch, adds, first, pixels, vectors);                       \
    }
#define UP_TO_6(each, kind, vectors)                                                         \
    each(kind, 1, vectors) each(kind, 2, vectors) each(kind, 3, vectors)                     \
    each(kind, 4, vectors) each(kind, 5, vectors) each(kind, 6, vectors)
#define UP_TO_8(each, kind, vectors)                                                         \
    UP_TO_6(each, kind, vectors) each(kind, 7, vectors) each(kind, 8, vectors)
#define UP_TO_12(each, kind, vectors)                                                        \
    UP_TO_8(each, kind, vectors) each(kind, 9, vectors) each(kind, 10, vectors)              \
    each(kind, 11, vectors) each(kind, 12, vectors)
#define BLOCKS(kind)                                                                         \
    UP_TO_12(BLOCK, kind, 1) UP_TO_12(BLOCK, kind, 2) UP_TO_8(BLOCK, kind, 3)                \
    UP_TO_6(BLOCK, kind, 4)
#define LISTED_BLOCKS(each)                                                                  \
    UP_TO_6(each, listed, 1) UP_TO_6(each, listed, 2) UP_TO_6(each, listed, 3)               \
    UP_TO_6(each, listed, 4)
#define ENTRY(kind, pixels, vectors) [vectors][pixels] = kind##_##pixels##_##vectors,
#define TABLE(kind)                                                                          \
    {UP_TO_12(ENTRY, kind, 1) UP_TO_12(ENTRY, kind, 2) UP_TO_8(ENTRY, kind, 3)               \
         UP_TO_6(ENTRY, kind, 4)}

BLOCKS(mixed)
BLOCKS(separate)
BLOCKS(rounded)
BLOCKS(counted)
LISTED_BLOCKS(BLOCK)

static block *const mixed_blocks[MOST_VECTORS + 1][MOST_BLOCK + 1] = TABLE(mixed);
static block *const separate_blocks[MOST_VECTORS + 1][MOST_BLOCK + 1] = TABLE(separate);
static block *const rounded_blocks[MOST_VECTORS + 1][MOST_BLOCK + 1] = TABLE(rounded);
static block *const counted_blocks[MOST_VECTORS + 1][MOST_BLOCK + 1] = TABLE(counted);
static block *const listed_blocks[MOST_VECTORS + 1][MOST_BLOCK + 1] = {LISTED_BLOCKS(ENTRY)};

static void bend(const struct convolution *convolution, const struct batch *batch,
                 struct slice outputs)
{
    for (long p = 0; p < batch->pixels; p++)
        for (long c = outputs.begin; c < outputs.end; c += LANES) {
            float *result = batch->results[p] + c;
            const long last = outputs.end - c < LANES ? outputs.end - c : LANES;
            /* The function stands here once: a second time, it might be compiled otherwise. */
            const vector sums = last == LANES ? load(result) : load_some(result, last);
            put(result, bent(convolution->bend, convolution->slope, sums), last);
        }
}

/* Blocks of about one size, `most` pixels or less: a small one takes as long as a larger one. */
static long blocks_in(const struct batch *batch, long most)
{
    return (batch->pixels + most - 1) / most;
}

static long first_of(const struct batch *batch, long number, long blocks)
{
    return batch->pixels * number / blocks;
}

static void list_block(const struct batch *batch, struct slice inputs, long first, long end,
                       struct list *list)
{
    list->count = 0;
    for (long k = inputs.begin; k < inputs.end; k += LANES) {
        lanes bits = {0};
        for (long p = first; p < end; p++) {
            const float *at = batch->reads[0][p] + k;
            bits |= (lanes)(inputs.end - k < LANES ? load_some(at, inputs.end - k) : load(at));
        }
        bits += bits; /* without signs: there are two zeros */
        list->count += put_numbers(bits, k, list->channels + list->count);
    }
}

/* List the channels of all blocks of a batch. Return whether so few are left that it pays. */
static int list_blocks(const struct convolution *convolution, const struct batch *batch,
                       struct slice inputs, struct list *lists)
{
    const long blocks = blocks_in(batch, LISTED_PIXELS), many = inputs.end - inputs.begin;
    if (!convolution->finite || !is_pointwise(convolution) || is_rounded(convolution) ||
        many > MOST_LISTED)
        return 0;
    long count = 0;
    for (long number = 0; number < blocks; number++) {
        list_block(batch, inputs, first_of(batch, number, blocks),
                   first_of(batch, number + 1, blocks), lists + number);
        count += lists[number].count;
        if (8 * count > 7 * (number + 1) * many)
            return 0;
    }
    return 1;
}

/* What is taken in of each run. */
static struct slice run_of(const struct convolution *convolution)
{
    return (struct slice){0, products(convolution) / runs(convolution)};
}

/* Compute a slice of results, or take something in for it. */
static void convolve_some(const struct convolution *convolution, const struct batch *batch, int adds,
                          struct slice outputs, struct slice inputs)
{
    const long count = vectors_of(convolution), length = products(convolution) * LANES;
    const long spare = count * LANES - convolution->outputs;
    const long end = (outputs.end + LANES - 1) / LANES;
    const int more = inputs.end < run_of(convolution).end;
    struct list lists[MOST_BLOCKS];
    unsigned char following[MOST_PIXELS];
    const int slides = mark_following(convolution, batch, following);
    const int lists_pay = list_blocks(convolution, batch, inputs, lists);
    block *const(*const blocks_of)[MOST_BLOCK + 1] = lists_pay                 ? listed_blocks
                                                     : convolution->bits == 8  ? counted_blocks
                                                     : convolution->bits == 16 ? rounded_blocks
                                                     : convolution->depthwise  ? separate_blocks
                                                                               : mixed_blocks;
    for (long from = outputs.begin / LANES; from < end;) {
        const long vectors = panel_vectors(count - from);
        const long blocks = blocks_in(batch, lists_pay ? LISTED_PIXELS : block_pixels(vectors));
        struct panel panel = {
            .from = from * LANES,
            .last = from + vectors == count ? LANES - spare : LANES,
            .weights = convolution->weights + from * length,
            .inputs = inputs,
            .begun = inputs.begin > 0,
            .more = more,
        };
        if (slides)
            slide(convolution, &panel, batch, adds, following, vectors);
        for (long number = 0; number < blocks && !slides; number++) {
            const long first = first_of(batch, number, blocks);
            const long pixels = first_of(batch, number + 1, blocks) - first;
            panel.list = lists + number;
            blocks_of[vectors][pixels](convolution, &panel, batch, adds, first);
        }
        from += vectors;
    }
    if (convolution->bend != STRAIGHT && !more)
        bend(convolution, batch, outputs);
}

struct slice next_slice(const struct convolution *convolution, struct slice slice)
{
    const long count = vectors_of(convolution);
    long end = slice.end / LANES;
    if (slice.end == convolution->outputs)
        end = count;
    slice.begin = slice.end;
    for (long from = end; end < count; end += panel_vectors(count - end))
        if ((end + panel_vectors(count - end) - from) * LANES > SLICE)
            break;
    slice.end = end < count ? end * LANES : convolution->outputs;
    return slice;
}

void convolve_slice(const struct convolution *convolution, const struct batch *batch, int adds,
                    struct slice outputs)
{
    convolve_some(convolution, batch, adds, outputs, run_of(convolution));
}

void take_in(const struct convolution *convolution, const struct batch *batch, int adds,
             struct slice inputs)
{
    convolve_some(convolution, batch, adds, (struct slice){0, convolution->outputs}, inputs);
}

void convolve(const struct convolution *convolution, const struct batch *batch, int adds)
{
    convolve_slice(convolution, batch, adds, (struct slice){0, convolution->outputs});
}

/* Floats that the weights take once they are packed. */
long packed_weights(const struct convolution *convolution)
{
    return vectors_of(convolution) * LANES * products(convolution);
}

/* Floats that the bias takes once it is packed. */
long packed_bias(const struct convolution *convolution)
{
    return vectors_of(convolution) * LANES;
}

/* Lay weights out in the order in which they are read: panel by panel, product by product.
   `weights` are [outputs][inputs, or 1][rows][columns]; packed ones are zero at first. */
void pack_weights(const struct convolution *convolution, const float *weights, float *packed)
{
    const long count = vectors_of(convolution), taps = convolution->rows * convolution->columns;
    const long inputs = convolution->depthwise ? 1 : convolution->inputs;
    for (long from = 0; from < count;) {
        const long vectors = panel_vectors(count - from), wide = vectors * LANES;
        for (long tap = 0; tap < taps; tap++)
            for (long input = 0; input < inputs; input++, packed += wide)
                for (long lane = 0; lane < wide; lane++) {
                    const long output = from * LANES + lane;
                    if (output < convolution->outputs)
                        packed[lane] = weights[(output * inputs + input) * taps + tap];
                }
        from += vectors;
    }
}

/* A weight as a whole number of up to 127; 0 if it is not finite. */
static int whole(float weight, float scale)
{
    return weight - weight == 0.0f ? (int)nearbyintf(weight * scale) : 0;
}

/* What makes the largest weight of a channel 127; none of a channel without weights of any size. */
static float whole_scale(const float *weights, long count)
{
    float largest = 0.0f;
    for (long n = 0; n < count; n++)
        largest = fabsf(weights[n]) > largest ? fabsf(weights[n]) : largest;
    return largest > TINY && largest < INFINITY ? 127.0f / largest : 0.0f;
}

/* Four weights of a channel from the first one on, a byte each; zeros behind the last. */
static float four_weights(const float *weights, long first, long count, float scale)
{
    signed char bytes[4] = {0};
    float found;
    for (long n = first; n < count && n < first + 4; n++)
        bytes[n - first] = (signed char)whole(weights[n], scale);
    memcpy(&found, bytes, 4);
    return found;
}

/* The same for a rounded convolution, of which `weights` are [outputs][inputs].
   scales, offsets: of each channel of the results and 8 bits, what its sums are times, and what they
   begin with, as 128 is added to what is read. */
void pack_rounded_weights(const struct convolution *convolution, const float *weights,
                          float *packed, float *scales, int *offsets)
{
    const long count = vectors_of(convolution), inputs = convolution->inputs;
    const long length = words(convolution), each = 32 / convolution->bits;
    for (long from = 0; from < count;) {
        const long vectors = panel_vectors(count - from), wide = vectors * LANES;
        const long here = convolution->outputs - from * LANES;
        for (long lane = 0; lane < wide && lane < here; lane++) {
            const float *row = weights + (from * LANES + lane) * inputs;
            const float scale = whole_scale(row, inputs);
            for (long word = 0; word < length; word++) {
                const long input = each * word;
                packed[word * wide + lane] =
                    each == 4        ? four_weights(row, input, inputs, scale)
                    : input < inputs ? rounded_pair(row[input],
                                                    input + 1 < inputs ? row[input + 1] : 0.0f)
                                     : 0.0f;
            }
            float strange = 0.0f;
            int sum = 0;
            for (long input = 0; input < inputs; input++) {
                strange += row[input] - row[input];
                sum += each == 4 ? whole(row[input], scale) : 0;
            }
            scales[from * LANES + lane] = (scale > 0.0f ? 1.0f / scale : 0.0f) + strange;
            offsets[from * LANES + lane] = -128 * sum;
        }
        packed += length * wide;
        from += vectors;
    }
}
