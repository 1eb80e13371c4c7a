/* Convolutions and max poolings one after the other, of which only the last one's results are kept.

   A rectangle is walked in strips of columns, and these in a few rows at a time: the rows of the
   inner maps that are still to be read lie in rings that the second-level cache holds, and none
   is computed twice within a strip. */

#include "convolution.h"
#include "extremes.h"
#include "vectors.h"

enum { MOST_LINKS = 16, MOST_EDGES = 16, LEAST_COLUMNS = 8 };

struct link {
    struct convolution convolution;
    long height, width; /* of its results' map */
    long pools;         /* whether results are the largest numbers of the windows, by channels */
};

/* A map, or some rows and columns of one. */
struct map {
    float *values;
    long height, width; /* of the whole map */
    long top, left;     /* place of the first value in the map */
    long row, pixel;    /* floats from one row to the next, from one pixel to the next */
    long frame;         /* floats from one frame's map to the next frame's */
    long ring;          /* 0; else how many rows are held, row r as number r modulo `ring` */
    long begin, end;    /* columns that can be read; zeros are beyond them */
};

struct span {
    long begin, end;
};

/* Memory for the inner maps, zeros, and windows that stretch beyond their map. */
struct scratch {
    float *zeros, *edges, *rings;
};

static struct span rows_read(const struct convolution *c, struct span rows)
{
    const long begin = rows.begin * c->row_stride - c->above;
    const long last = (rows.end - 1) * c->row_stride - c->above;
    return (struct span){begin, last + c->row_dilation * (c->rows - 1) + 1};
}

static long columns_of_window(const struct convolution *c)
{
    return c->column_dilation * (c->columns - 1) + 1;
}

static struct span columns_read(const struct convolution *c, struct span columns)
{
    const long begin = columns.begin * c->column_stride - c->before;
    const long last = (columns.end - 1) * c->column_stride - c->before;
    return (struct span){begin, last + columns_of_window(c)};
}

static struct span inside(struct span span, long length)
{
    return (struct span){larger(span.begin, 0), smaller(span.end, length)};
}

static float *row_of(const struct map *map, long row)
{
    return map->values + (map->ring ? row % map->ring : row - map->top) * map->row;
}

static struct map of_frame(const struct map *map, long frame)
{
    struct map found = *map;
    found.values += frame * map->frame;
    return found;
}

/* Floats of one row of a window, and what a depthwise convolution reads beyond it. */
static long window_row(const struct convolution *c)
{
    return columns_of_window(c) * c->inputs + LANES;
}

/* Put pixels into a batch of which the windows are read as they lie: from `places`, null for a row
   beyond the map. */
static void append(const struct convolution *c, struct batch *batch, const float *const *places,
                   const float *zeros, long step, long pixels)
{
    const long split = runs(c) / c->rows, apart = c->column_dilation * c->inputs;
    for (long row = 0; row < c->rows; row++)
        for (long part = 0; part < split; part++) {
            const float **reads = batch->reads[row * split + part] + batch->pixels;
            const float *from = (places[row] ? places[row] : zeros) + part * apart;
            const long on = places[row] ? step : 0;
            for (long p = 0; p < pixels; p++)
                reads[p] = from + p * on;
        }
    batch->pixels += pixels;
}

/* Compute some rows and columns of one convolution's results. */
static void compute(const struct convolution *c, const struct map *source, const struct map *added,
                    const struct map *result, struct span rows, struct span columns,
                    const struct scratch *scratch)
{
    struct batch batch;
    long edges = batch.pixels = 0;
    const long window = columns_of_window(c), length = window_row(c);
    for (long row = rows.begin; row < rows.end; row++) {
        const long top = row * c->row_stride - c->above;
        float *to = row_of(result, row) - result->left * result->pixel;
        const float *with = added ? row_of(added, row) - added->left * added->pixel : 0;
        const float *lines[MOST_RUNS], *places[MOST_RUNS];
        int last_row = 0;
        for (long r = 0; r < c->rows; r++) {
            const long read = top + r * c->row_dilation;
            const int there = read >= 0 && read < source->height;
            lines[r] = there ? row_of(source, read) : 0;
            last_row |= read == source->height - 1;
        }
        /* A whole vector of the map's last pixel may stretch beyond the memory. */
        const int cut = last_row && !source->ring && c->depthwise && c->inputs % LANES;
        const long end = source->end - cut;
        for (long column = columns.begin; column < columns.end;) {
            const long left = column * c->column_stride - c->before;
            long count = 1;
            if (left >= source->begin && left + window <= end) {
                /* All windows up to the edge lie in the map. */
                count = (end - window - left) / c->column_stride + 1;
                count = smaller(smaller(count, columns.end - column), MOST_PIXELS - batch.pixels);
                for (long r = 0; r < c->rows; r++)
                    places[r] = lines[r] ? lines[r] + (left - source->left) * source->pixel : 0;
            } else {
                float *edge = scratch->edges + edges++ * c->rows * length;
                const struct span in = {larger(left, source->begin),
                                        smaller(left + window, source->end)};
                for (long r = 0; r < c->rows; r++, edge += length) {
                    places[r] = lines[r] ? edge : 0;
                    if (!lines[r])
                        continue;
                    memset(edge, 0, 4 * length);
                    if (in.begin < in.end)
                        memcpy(edge + (in.begin - left) * c->inputs,
                               lines[r] + (in.begin - source->left) * source->pixel,
                               4 * (in.end - in.begin) * c->inputs);
                }
            }
            for (long p = 0; p < count; p++) {
                batch.results[batch.pixels + p] = to + (column + p) * result->pixel;
                if (added)
                    batch.added[batch.pixels + p] = with + (column + p) * added->pixel;
            }
            append(c, &batch, places, scratch->zeros, c->column_stride * source->pixel, count);
            column += count;
            if (batch.pixels == MOST_PIXELS || edges == MOST_EDGES) {
                convolve(c, &batch, added != 0);
                batch.pixels = edges = 0;
            }
        }
    }
    if (batch.pixels)
        convolve(c, &batch, added != 0);
}

/* The larger of two, lane by lane; NaN where either is. */
INLINE vector largest(vector one, vector other)
{
    return choose((other > one) | (other != other), other, one);
}

/* A vector of channels of the largest numbers in a window, of `count` if that is fewer than LANES. */
INLINE vector largest_in(const struct map *map, struct span rows, struct span columns, long channel,
                         const long count)
{
    vector found = all(-INFINITY);
    for (long row = rows.begin; row < rows.end; row++) {
        const float *line = row_of(map, row) + channel - map->left * map->pixel;
        for (long column = columns.begin; column < columns.end; column++) {
            const float *from = line + column * map->pixel;
            found = largest(found, count < LANES ? load_some(from, count) : load(from));
        }
    }
    return found;
}

/* Find some rows and columns of one pooling's results. What is beyond the map counts for nothing. */
static void pool(const struct convolution *c, const struct map *source, const struct map *result,
                 struct span rows, struct span columns)
{
    const long whole = c->outputs / LANES * LANES, rest = c->outputs - whole;
    for (long row = rows.begin; row < rows.end; row++) {
        float *to = row_of(result, row) - result->left * result->pixel;
        const struct span one_row = {row, row + 1};
        const struct span down = inside(rows_read(c, one_row), source->height);
        for (long column = columns.begin; column < columns.end; column++) {
            const struct span one_column = {column, column + 1};
            const struct span across = inside(columns_read(c, one_column), source->width);
            float *found = to + column * result->pixel;
            for (long channel = 0; channel < whole; channel += LANES)
                store(found + channel, largest_in(source, down, across, channel, LANES));
            if (rest)
                store_some(found + whole, largest_in(source, down, across, whole, rest), rest);
        }
    }
}

/* Rows of the last map that are computed at a time, in strips so wide. */
static long rows_at_once(long columns)
{
    return larger(1, MOST_PIXELS / larger(columns, LEAST_COLUMNS));
}

/* Floats that the rings take, for strips so wide. Given maps for them, they are laid out at `to`. */
static long ring_floats(const struct link *links, long count, long columns, float *to,
                        struct map *rings)
{
    long taken = 0;
    struct span wide = {0, columns}, tall = {0, rows_at_once(columns)};
    for (long i = count - 1; i > 0; i--) {
        wide = columns_read(&links[i].convolution, wide);
        tall = rows_read(&links[i].convolution, tall);
        const long channels = links[i].convolution.inputs;
        const long row = (wide.end - wide.begin) * channels;
        if (rings) {
            rings[i - 1].ring = tall.end - tall.begin;
            rings[i - 1].row = row;
            rings[i - 1].pixel = channels;
            rings[i - 1].values = to + taken;
        }
        taken += (tall.end - tall.begin) * row + LANES;
    }
    return taken;
}

static long zero_floats(const struct link *links, long count)
{
    long most = 0;
    for (long i = 0; i < count; i++)
        most = larger(most, window_row(&links[i].convolution));
    return most;
}

static long edge_floats(const struct link *links)
{
    const struct convolution *first = &links[0].convolution;
    return MOST_EDGES * first->rows * window_row(first);
}

/* Compute a strip of the last map. */
static void walk(const struct link *links, long count, const struct map *source,
                 const struct map *added, const struct map *result, struct span rows,
                 struct span columns, const struct scratch *scratch)
{
    struct map maps[MOST_LINKS + 1];
    struct span wide[MOST_LINKS], tall[MOST_LINKS];
    long done[MOST_LINKS] = {0};
    const long step = rows_at_once(columns.end - columns.begin);
    maps[0] = *source;
    ring_floats(links, count, columns.end - columns.begin, scratch->rings, maps + 1);
    wide[count - 1] = columns;
    for (long i = count - 1; i > 0; i--) {
        struct map *map = &maps[i];
        const struct span read = columns_read(&links[i].convolution, wide[i]);
        const long width = links[i - 1].width;
        wide[i - 1] = inside(read, width);
        map->height = links[i - 1].height;
        map->width = width;
        map->top = 0;
        map->left = map->begin = read.begin;
        map->end = read.end;
        /* Columns beyond the map are zeros, which stay. */
        for (long row = 0; row < map->ring; row++)
            for (long column = read.begin; column < read.end; column++)
                if (column < 0 || column >= width)
                    memset(map->values + row * map->row + (column - read.begin) * map->pixel, 0,
                           4 * map->pixel);
    }
    maps[count] = *result;
    for (long row = rows.begin; row < rows.end; row += step) {
        tall[count - 1] = (struct span){row, smaller(row + step, rows.end)};
        for (long i = count - 1; i > 0; i--)
            tall[i - 1] = inside(rows_read(&links[i].convolution, tall[i]), links[i - 1].height);
        for (long i = 0; i < count; i++) {
            const struct span fresh = {larger(tall[i].begin, done[i]), tall[i].end};
            if (fresh.begin >= fresh.end)
                continue;
            if (links[i].pools)
                pool(&links[i].convolution, &maps[i], &maps[i + 1], fresh, wide[i]);
            else
                compute(&links[i].convolution, &maps[i], i == count - 1 ? added : 0, &maps[i + 1],
                        fresh, wide[i], scratch);
            done[i] = fresh.end;
        }
    }
}

/* Floats that `run_chain` needs at least. With more, strips are wider. */
long chain_room(const struct link *links, long count)
{
    return zero_floats(links, count) + edge_floats(links) +
           ring_floats(links, count, LEAST_COLUMNS, 0, 0);
}

/* Compute rectangles (top, left, bottom, right) of the last map, the same of each frame.

   source: the map that the first link reads.  added: one that the last link's results are added
   to, or null.  result: where they go.  scratch: `room` floats. */
void run_chain(const struct link *links, long count, const struct map *source,
               const struct map *added, const struct map *result, long frames,
               const long *rectangles, long number, float *scratch, long room)
{
    struct scratch parts;
    parts.zeros = scratch;
    parts.edges = parts.zeros + zero_floats(links, count);
    parts.rings = parts.edges + edge_floats(links);
    memset(parts.zeros, 0, 4 * zero_floats(links, count));
    room -= parts.rings - scratch;
    for (long each = 0; each < number * frames; each++) {
        const long frame = each / number, *sides = rectangles + each % number * 4;
        const struct span rows = {sides[0], sides[2]};
        const long width = sides[3] - sides[1];
        const struct map from = of_frame(source, frame), to = of_frame(result, frame);
        const struct map with = added ? of_frame(added, frame) : to;
        long strips = 1;
        while (ring_floats(links, count, (width + strips - 1) / strips, 0, 0) > room &&
               (width + strips - 1) / strips > LEAST_COLUMNS)
            strips++;
        for (long strip = 0; strip < strips; strip++) {
            const struct span columns = {sides[1] + width * strip / strips,
                                         sides[1] + width * (strip + 1) / strips};
            walk(links, count, &from, added ? &with : 0, &to, rows, columns, &parts);
        }
    }
}
