/* Convolutions of pixels wherever they lie, each added up in one order.

   A pixel's sum begins with the bias and takes in one product after the other, by rows, columns
   and channels of the window, whatever pixels are computed beside it: so its bits do not depend
   on them. A few pixels and a few vectors of channels are added up in registers, with the window
   innermost (Goto and van de Geijn 2008, Anatomy of high-performance matrix multiplication).
   Pixels are read through pointers, so they may lie anywhere, and nothing is copied (Dukhan 2019,
   The indirect convolution algorithm). A rounded convolution takes in products of bfloat16 by twos,
   or of bytes by fours, for which processors need half the time and a quarter. A product with zero
   leaves a sum as it is: what has been through a ReLU is mostly zeros, and products of channels that
   are zero in all pixels of a block are left out. */


#include "convolution.h"

#include "activation.h"
#include "depthwise.h"
#include "panel.h"
#include "vectors.h"

/* Pixels of a block that is listed, whatever the panel: fewer pixels leave fewer channels, but of
   too few sums one has to wait for the other; blocks of a batch; channels of a list. */
enum { LISTED_PIXELS = SUMS / MOST_VECTORS < 4 ? SUMS / MOST_VECTORS : 4,
       MOST_BLOCKS = (MOST_PIXELS + LISTED_PIXELS - 1) / LISTED_PIXELS, MOST_LISTED = 2048 };

/* Channels that are not zero in every pixel of a block. */
struct list {
    long count;
    unsigned short channels[MOST_LISTED];
};

typedef void block(const struct convolution *, const struct panel *, const struct batch *, int adds,
                   long first);

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

static int is_pointwise(const struct convolution *convolution)
{
    return !convolution->depthwise && convolution->rows * convolution->columns == 1;
}

long runs(const struct convolution *convolution)
{
    const int dilated = convolution->column_dilation > 1 && !convolution->depthwise;
    return convolution->rows * (dilated || convolution->apart ? convolution->columns : 1);
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
#define UP_TO_4(each, kind, vectors)                                                         \
    each(kind, 1, vectors) each(kind, 2, vectors)                                            \
    each(kind, 3, vectors) each(kind, 4, vectors)
#define UP_TO_6(each, kind, vectors)                                                         \
    UP_TO_4(each, kind, vectors) each(kind, 5, vectors) each(kind, 6, vectors)
#define UP_TO_8(each, kind, vectors)                                                         \
    UP_TO_6(each, kind, vectors) each(kind, 7, vectors) each(kind, 8, vectors)
#define UP_TO_12(each, kind, vectors)                                                        \
    UP_TO_8(each, kind, vectors) each(kind, 9, vectors) each(kind, 10, vectors)              \
    each(kind, 11, vectors) each(kind, 12, vectors)
#define BLOCKS(kind)                                                                         \
    UP_TO_12(BLOCK, kind, 1) UP_TO_12(BLOCK, kind, 2) UP_TO_8(BLOCK, kind, 3)                \
    UP_TO_6(BLOCK, kind, 4)
#define LISTED_BLOCKS(each)                                                                  \
    UP_TO_4(each, listed, 1) UP_TO_4(each, listed, 2)                                        \
    UP_TO_4(each, listed, 3) UP_TO_4(each, listed, 4)
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

/* Bits of some values, without their signs: there are two zeros. */
INLINE lanes size_of_all(const float *const *reads, long channel, long many)
{
    lanes bits = {0};
    EACH(p, LISTED_PIXELS) {
        const float *at = reads[p] + channel;
        bits |= (lanes)(many < LANES ? load_some(at, many) : load(at));
    }
    return bits + bits;
}

static void list_block(const struct batch *batch, struct slice inputs, long first, long end,
                       struct list *list)
{
    const float *reads[LISTED_PIXELS]; /* the first pixel's again, where there are fewer */
    long count = 0, k = inputs.begin;
    EACH(p, LISTED_PIXELS)
        reads[p] = batch->reads[0][first + p < end ? first + p : first];
    for (; k + LANES <= inputs.end; k += LANES)
        count += put_numbers(size_of_all(reads, k, LANES), k, list->channels + count);
    if (k < inputs.end)
        count += put_numbers(size_of_all(reads, k, inputs.end - k), k, list->channels + count);
    list->count = count;
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

void find_rows(const struct convolution *convolution, struct batch *batch)
{
    struct tap taps[3][3];
    long count = 0;
    batch->slides = 0;
    if (!convolution->depthwise || convolution->rows != 3 || convolution->columns != 3)
        return;
    find_taps(convolution, batch, taps);
    for (long p = 0, first = 0; p < batch->pixels; p++) {
        first = p > 0 && follows(taps, p) ? first : p;
        batch->rows[first] = (unsigned char)(p - first + 1);
        count += first < p;
    }
    batch->slides = 2 * count > batch->pixels; /* else it does not pay */
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
        if (batch->slides)
            slide(convolution, &panel, batch, adds, vectors);
        for (long number = 0; number < blocks && !batch->slides; number++) {
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

void convolve(const struct convolution *convolution, struct batch *batch, int adds)
{
    find_rows(convolution, batch);
    convolve_slice(convolution, batch, adds, (struct slice){0, convolution->outputs});
}
