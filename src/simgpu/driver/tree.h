/* An ordered tree of nodes embedded in the caller's structures (a treap: expected O(log n) for each
 * operation). No locking; no allocation. */
#ifndef SIMGPU_TREE_H
#define SIMGPU_TREE_H

#include <stddef.h>
#include <stdint.h>

struct tree_node {
    struct tree_node *left, *right;
    uint32_t priority;
};

/* Negative, 0 or positive as a sorts before, with or after b. No two nodes of a tree may be equal.
 */
typedef int tree_order(const struct tree_node *a, const struct tree_node *b);

struct tree {
    struct tree_node *root;
    tree_order *order;
};

#define TREE_ENTRY(node, type, member) ((type *)((uintptr_t)(node)-offsetof(type, member)))

void tree_insert(struct tree *tree, struct tree_node *node);
void tree_remove(struct tree *tree, struct tree_node *node);

/* The last node not after `key`, and the first node not before it; NULL if there is none. `key` is
 * a node of the caller's of which only the fields that `order` reads are set. */
struct tree_node *tree_floor(const struct tree *tree, const struct tree_node *key);
struct tree_node *tree_ceiling(const struct tree *tree, const struct tree_node *key);

/* The first node in order; NULL if the tree is empty. */
struct tree_node *tree_first(const struct tree *tree);

#endif
