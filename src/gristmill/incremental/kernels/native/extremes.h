/* The smaller and the larger of two whole numbers. */

#pragma once

static inline long smaller(long one, long other) { return one < other ? one : other; }
static inline long larger(long one, long other) { return one > other ? one : other; }
