/* Weights in the order in which convolutions read them. */

#include <math.h>

#include "panel.h"

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
