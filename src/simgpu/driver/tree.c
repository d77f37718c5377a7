#include "tree.h"

static uint32_t next_priority(void)
{
    static uint32_t seed = 2463534242u; /* xorshift: the order of insertion is not an adversary */
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

/* Splits `root` into the nodes before `key` and those after it. */
static void split_tree(struct tree_node *root, const struct tree_node *key, tree_order *order,
                       struct tree_node **before, struct tree_node **after)
{
    while (root != NULL) {
        if (order(root, key) < 0) {
            *before = root;
            before = &root->right;
            root = root->right;
        } else {
            *after = root;
            after = &root->left;
            root = root->left;
        }
    }
    *before = NULL;
    *after = NULL;
}

void tree_insert(struct tree *tree, struct tree_node *node)
{
    node->priority = next_priority();
    struct tree_node **link = &tree->root;
    while (*link != NULL && (*link)->priority >= node->priority)
        link = tree->order(node, *link) < 0 ? &(*link)->left : &(*link)->right;
    split_tree(*link, node, tree->order, &node->left, &node->right);
    *link = node;
}

void tree_remove(struct tree *tree, struct tree_node *node)
{
    struct tree_node **link = &tree->root;
    while (*link != node)
        link = tree->order(node, *link) < 0 ? &(*link)->left : &(*link)->right;

    struct tree_node *left = node->left, *right = node->right;
    while (left != NULL && right != NULL) { /* merge the subtrees into the node's place */
        if (left->priority >= right->priority) {
            *link = left;
            link = &left->right;
            left = left->right;
        } else {
            *link = right;
            link = &right->left;
            right = right->left;
        }
    }
    *link = left != NULL ? left : right;
}

struct tree_node *tree_floor(const struct tree *tree, const struct tree_node *key)
{
    struct tree_node *best = NULL;
    for (struct tree_node *node = tree->root; node != NULL;) {
        if (tree->order(node, key) <= 0) {
            best = node;
            node = node->right;
        } else {
            node = node->left;
        }
    }
    return best;
}

struct tree_node *tree_ceiling(const struct tree *tree, const struct tree_node *key)
{
    struct tree_node *best = NULL;
    for (struct tree_node *node = tree->root; node != NULL;) {
        if (tree->order(node, key) >= 0) {
            best = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

struct tree_node *tree_first(const struct tree *tree)
{
    struct tree_node *node = tree->root;
    while (node != NULL && node->left != NULL)
        node = node->left;
    return node;
}
