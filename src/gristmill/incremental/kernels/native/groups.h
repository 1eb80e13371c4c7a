/* Pixels that are computed together. */

#ifndef GRISTMILL_GROUPS_H
#define GRISTMILL_GROUPS_H

/* Pixels of some positions: of what is read, of results, and of the map around them, by a list of
   their numbers; of each, the first one and the one behind the last. */
struct group {
    long read, read_end;
    long given, given_end;
    long around, around_end;
};

#endif
