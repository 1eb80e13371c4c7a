/* 3x3 convolutions tile by tile with fewer products (Winograd 1980; Lavin and Gray 2016).

   SIDE x SIDE results are made of READ x READ pixels. These are transformed into NUMBERS numbers
   each, multiplied number by number with those of the window, which come transformed
   (winograd.py), and added up over the channels.

   A block of tiles is transformed at once and meets the weights of as many channels of the results
   as the product keeps in registers: what is made of a block stays in the cache, and weights are
   read once a block (Goto and van de Geijn 2008). Every sum is added up in one register from the
   first channel to the last, whatever is computed beside it: a tile's bits depend on its own pixels
   only. */

#include "activation.h"
#include "vectors.h"

enum {
    SIDE = 4,
    READ = SIDE + 2,
    NUMBERS = READ * READ,
    TILES = 6,             /* that are multiplied together */
    VECTORS = SUMS / TILES /* of the results' channels likewise, a panel */
};

/* Where polynomials are evaluated: 0, A, -A, B, -B and infinity. */
static const float A = 0.70710678118654752f, B = 1.41421356237309505f;

/* A map in channels-last memory, or a rectangle of one; channels are a multiple of 16. */
struct pixels {
    float *values;
    long top, left; /* place of the first value in the map */
    long height, width, channels;
};

/* First pixel of what a tile reads, which may lie beyond the edges, and of what it gives. */
struct tile {
    int read_row, read_column, row, column;
};

struct tiled_convolution {
    const float *weights; /* panel by panel, [NUMBERS][inputs][channels of the panel] */
    const float *bias;
    float low, high; /* bounds of the results; infinite for none */
    long bend;       /* else what becomes of them, see activation.h */
    float slope;
};

/* What becomes of the results before they are written. */
struct ending {
    const struct pixels *added; /* added to them; none for nothing */
    float low, high;            /* bounds of the sum */
    long pooled;                /* else whether the largest of 2x2 is written */
};

/* Vectors of the next panel, of the channels that are left. */
INLINE int panel_vectors(long left)
{
    return left >= VECTORS * LANES ? VECTORS : 1;
}

/* Its channels. */
long winograd_panel(long left)
{
    return panel_vectors(left) * LANES;
}

/* Evaluate the polynomials that a row of pixels stands for. */
INLINE void evaluate(const vector d[READ], vector found[READ])
{
    const vector even_a = d[4] - 2.0f * d[2], odd_a = A * (d[3] - 2.0f * d[1]);
    const vector even_b = d[4] - 0.5f * d[2], odd_b = B * (d[3] - 0.5f * d[1]);
    found[0] = d[0] - 2.5f * d[2] + d[4];
    found[1] = even_a + odd_a;
    found[2] = even_a - odd_a;
    found[3] = even_b + odd_b;
    found[4] = even_b - odd_b;
    found[5] = d[1] - 2.5f * d[3] + d[5];
}

/* A row of results from their sums at the points. */
INLINE void interpolate(const vector m[READ], vector found[SIDE])
{
    const vector even_a = m[1] + m[2], odd_a = A * (m[1] - m[2]);
    const vector even_b = m[3] + m[4], odd_b = B * (m[3] - m[4]);
    found[0] = m[0] + even_a + even_b;
    found[1] = odd_a + odd_b;
    found[2] = 0.5f * even_a + 2.0f * even_b;
    found[3] = 0.5f * odd_a + 2.0f * odd_b + m[5];
}

/* Where a pixel's channels begin; none for those that are not there. */
INLINE float *at(const struct pixels *map, long row, long column)
{
    row -= map->top, column -= map->left;
    return row >= 0 && row < map->height && column >= 0 && column < map->width
               ? map->values + (row * map->width + column) * map->channels
               : 0;
}

/* Transform a tile's pixels; its number n of all channels goes to `numbers` + n * `apart`. */
static void transform(const struct pixels *map, struct tile tile, float *numbers, long apart)
{
    const float *places[READ][READ]; /* none beyond the edges, where pixels are 0 */
    for (int y = 0; y < READ; y++)
        for (int x = 0; x < READ; x++)
            places[y][x] = at(map, tile.read_row + y, tile.read_column + x);
    for (long channel = 0; channel < map->channels; channel += LANES) {
        vector half[READ][READ], found[READ];
        for (int x = 0; x < READ; x++) {
            vector column[READ];
            for (int y = 0; y < READ; y++)
                column[y] = places[y][x] ? load(places[y][x] + channel) : all(0.0f);
            evaluate(column, found);
            for (int y = 0; y < READ; y++)
                half[y][x] = found[y];
        }
        for (int y = 0; y < READ; y++) {
            evaluate(half[y], found);
            for (int x = 0; x < READ; x++)
                store(numbers + (y * READ + x) * apart + channel, found[x]);
        }
    }
}

/* Sums of some tiles over all channels, for a panel of some vectors. */
INLINE void multiply(const int tiles, const int vectors, const float *numbers, long step,
                     const float *weights, long inputs, float *sums, long sums_step)
{
    vector found[TILES][VECTORS];
    const float *next = weights + inputs * vectors * LANES; /* the next number's weights */
    for (int t = 0; t < tiles; t++)
        for (int v = 0; v < vectors; v++)
            found[t][v] = all(0.0f);
    for (long k = 0; k < inputs; k++) {
        vector weight[VECTORS];
        for (int v = 0; v < vectors; v++) {
            weight[v] = load(weights + (k * vectors + v) * LANES);
            __builtin_prefetch(next + (k * vectors + v) * LANES, 0, 2);
        }
        for (int t = 0; t < tiles; t++)
            for (int v = 0; v < vectors; v++)
                found[t][v] =
                    plus_product(found[t][v], all(numbers[t * step + k]), weight[v]);
    }
    for (int t = 0; t < tiles; t++)
        for (int v = 0; v < vectors; v++)
            store(sums + t * sums_step + v * LANES, found[t][v]);
}

/* The same for any number of tiles: a function of its own for each rest, for sums in registers. */
INLINE void multiply_all(const int vectors, long count, const float *numbers, long step,
                         const float *weights, long inputs, float *sums, long sums_step)
{
    for (; count >= TILES; count -= TILES) {
        multiply(TILES, vectors, numbers, step, weights, inputs, sums, sums_step);
        numbers += TILES * step;
        sums += TILES * sums_step;
    }
    switch (count) {
    case 5: multiply(5, vectors, numbers, step, weights, inputs, sums, sums_step); break;
    case 4: multiply(4, vectors, numbers, step, weights, inputs, sums, sums_step); break;
    case 3: multiply(3, vectors, numbers, step, weights, inputs, sums, sums_step); break;
    case 2: multiply(2, vectors, numbers, step, weights, inputs, sums, sums_step); break;
    case 1: multiply(1, vectors, numbers, step, weights, inputs, sums, sums_step); break;
    }
}

/* The larger one, NaN above all. */
INLINE vector larger(vector one, vector other)
{
    return choose((other > one) | (other != other), other, one);
}

/* Where a tile's results belong, and what is added to them; none beyond the edges. */
struct places {
    float *results[SIDE][SIDE];
    const float *added[SIDE][SIDE];
};

static struct places places_of(const struct ending *ending, const struct pixels *to,
                               struct tile tile)
{
    const int side = ending->pooled ? 2 : 1; /* of what is one pixel of the map */
    struct places found = {0};
    for (int y = 0; y < SIDE; y += side)
        for (int x = 0; x < SIDE; x += side) {
            const long row = tile.row + y, column = tile.column + x;
            found.results[y][x] = at(to, row / side, column / side);
            if (ending->added && found.results[y][x])
                found.added[y][x] = at(ending->added, row, column);
        }
    return found;
}

/* Write two rows of a tile's results, from row `y` on. */
INLINE void put(const struct ending *ending, const struct places *places, int y,
                vector results[2][SIDE], long channel)
{
    if (ending->pooled) {
        for (int x = 0; x < SIDE; x += 2)
            if (places->results[y][x])
                store(places->results[y][x] + channel,
                      larger(larger(results[0][x], results[0][x + 1]),
                             larger(results[1][x], results[1][x + 1])));
        return;
    }
    for (int below = 0; below < 2; below++)
        for (int x = 0; x < SIDE; x++) {
            const float *added = places->added[y + below][x];
            vector result = results[below][x];
            if (added)
                result = bounded(result + load(added + channel), ending->low, ending->high);
            if (places->results[y + below][x])
                store(places->results[y + below][x] + channel, result);
        }
}

/* A tile's results from its sums, for some vectors of channels from `channel` on. */
INLINE void finish(const struct tiled_convolution *convolution, const struct ending *ending,
                   const float *sums, long apart, const int vectors, const struct pixels *to,
                   struct tile tile, long channel)
{
    const struct places places = places_of(ending, to, tile);
    for (int v = 0; v < vectors; v++, sums += LANES, channel += LANES) {
        const vector bias = load(convolution->bias + channel);
        vector half[SIDE][READ], found[SIDE], results[2][SIDE];
        for (int x = 0; x < READ; x++) {
            vector column[READ];
            for (int y = 0; y < READ; y++)
                column[y] = load(sums + (y * READ + x) * apart);
            interpolate(column, found);
            for (int y = 0; y < SIDE; y++)
                half[y][x] = found[y];
        }
#pragma GCC unroll 2
        for (int y = 0; y < SIDE; y += 2) {
#pragma GCC unroll 2
            for (int below = 0; below < 2; below++) {
                interpolate(half[y + below], found);
                for (int x = 0; x < SIDE; x++)
                    results[below][x] = bounded(found[x] + bias, convolution->low, convolution->high);
                if (convolution->bend)
                    for (int x = 0; x < SIDE; x++)
                        results[below][x] =
                            bent(convolution->bend, convolution->slope, results[below][x]);
            }
            put(ending, &places, y, results, channel);
        }
    }
}

/* Floats from one tile's numbers, or sums, to the next one's: a vector more than there are, for
   steps of a power of two would share few lines of the cache. */
static long padded(long channels)
{
    return channels + LANES;
}

/* Floats of `scratch` for blocks of so many tiles. */
long winograd_scratch(long block, long inputs)
{
    return NUMBERS * block * (padded(inputs) + padded(VECTORS * LANES));
}

static void convolve_block(const struct tiled_convolution *convolution,
                           const struct ending *ending, const struct pixels *from,
                           const struct pixels *to, const struct tile *tiles, long count,
                           float *scratch)
{
    const long inputs = from->channels, outputs = to->channels;
    const long step = padded(inputs), sums_step = padded(VECTORS * LANES);
    float *numbers = scratch, *sums = scratch + NUMBERS * count * step;
    const float *weights = convolution->weights;
    for (long t = 0; t < count; t++)
        transform(from, tiles[t], numbers + t * step, count * step);
    for (long channel = 0; channel < outputs;) {
        const int vectors = panel_vectors(outputs - channel);
        for (long n = 0; n < NUMBERS; n++) {
            const float *given = numbers + n * count * step;
            float *found = sums + n * count * sums_step;
            if (vectors == VECTORS)
                multiply_all(VECTORS, count, given, step, weights, inputs, found, sums_step);
            else
                multiply_all(1, count, given, step, weights, inputs, found, sums_step);
            weights += inputs * vectors * LANES;
        }
        for (long t = 0; t < count; t++)
            finish(convolution, ending, sums + t * sums_step, count * sums_step, vectors, to,
                   tiles[t], channel);
        channel += vectors * LANES;
    }
}

/* Convolve some tiles of a map, `block` of them at a time. */
void winograd(const struct tiled_convolution *convolution, const struct ending *ending,
              const struct pixels *from, const struct pixels *to, const struct tile *tiles,
              long count, long block, float *scratch)
{
    for (; count > 0; count -= block, tiles += block)
        convolve_block(convolution, ending, from, to, tiles, count < block ? count : block,
                       scratch);
}
