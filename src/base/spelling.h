/* How far two words are apart: for "did you mean". Pure functions, no malloc. */
#ifndef VRAMGUARD_BASE_SPELLING_H
#define VRAMGUARD_BASE_SPELLING_H

/* Letters to be added, removed or replaced to make `b` of `a` (Levenshtein); only the first 31
 * letters of each count. */
unsigned vg_spelling_distance(const char *a, const char *b);

#endif
