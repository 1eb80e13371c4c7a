/* Activations that are more than a lower and an upper bound. */

#ifndef GRISTMILL_ACTIVATION_H
#define GRISTMILL_ACTIVATION_H

#include "vectors.h"

enum bend { STRAIGHT, LEAKY, HARD_SIGMOID, HARD_SWISH, SIGMOID, SWISH };

/* 2 to the power of whole numbers from -126 to 127. */
INLINE vector power_of_two(lanes exponents)
{
    return (vector)((exponents + 127) << 23);
}

/* e to the power of `values`, to two units in the last place; from -87 on downward, what it is
   there. A power of two, and e to a rest of half of ln 2 at most, by its Taylor series (the ln 2 in
   two parts: Cody and Waite 1980, Software manual for the elementary functions). */
INLINE vector exponential(vector values)
{
    const vector whole = all(12582912.0f); /* 1.5 * 2^23: what is added to it loses its fraction */
    const vector within = bounded(values, -87.0f, 100.0f);
    const vector shifted = plus_product(whole, within, all(1.44269504f));
    const vector count = shifted - whole;
    vector rest = plus_product(within, count, all(-0.693359375f));
    rest = plus_product(rest, count, all(2.12194440e-4f));
    vector sum = all(1.0f / 5040);
    sum = plus_product(all(1.0f / 720), sum, rest);
    sum = plus_product(all(1.0f / 120), sum, rest);
    sum = plus_product(all(1.0f / 24), sum, rest);
    sum = plus_product(all(1.0f / 6), sum, rest);
    sum = plus_product(all(0.5f), sum, rest);
    sum = plus_product(all(1.0f), sum, rest);
    sum = plus_product(all(1.0f), sum, rest);
    /* In two steps: one alone can't reach infinity. */
    const lanes exponents = (lanes)shifted - (lanes)whole, half = exponents >> 1;
    return sum * power_of_two(half) * power_of_two(exponents - half);
}

/* What an activation makes of sums; `slope` is that of LEAKY below zero. */
INLINE vector bent(long bend, float slope, vector sums)
{
    switch (bend) {
    case LEAKY:
        return choose(sums < 0.0f, sums * slope, sums);
    case HARD_SIGMOID:
        return bounded(sums + 3.0f, 0.0f, 6.0f) / 6.0f;
    case HARD_SWISH:
        return sums * bounded(sums + 3.0f, 0.0f, 6.0f) / 6.0f;
    case SIGMOID:
        return 1.0f / (1.0f + exponential(-sums));
    case SWISH:
        return sums / (1.0f + exponential(-sums));
    default:
        return sums;
    }
}

#endif
