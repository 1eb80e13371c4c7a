/* Rectangles of a map, in pixels or in cells: the first row and column, and those behind the last. */

#pragma once

#include "extremes.h"

struct box {
    long top, left, bottom, right;
};

static inline long box_area(const struct box *box)
{
    return (box->bottom - box->top) * (box->right - box->left);
}

/* The smallest box that holds both. */
static inline struct box box_around(const struct box *one, const struct box *other)
{
    return (struct box){
        smaller(one->top, other->top),
        smaller(one->left, other->left),
        larger(one->bottom, other->bottom),
        larger(one->right, other->right),
    };
}
