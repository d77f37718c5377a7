#include "unwind/symbol_name.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"

enum { LONG_NAME = 40 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The length-prefixed identifier at `p` ("6native"): its start and length; returns what follows it,
 * NULL when there is none. */
static const char *source_name(const char *p, const char **out_start, size_t *out_length)
{
    size_t length = 0;
    if (!is_digit(*p))
        return NULL;
    for (; is_digit(*p); p++) {
        length = length * 10 + (size_t)(*p - '0');
        if (length > 4096)
            return NULL;
    }
    if (strnlen(p, length) < length)
        return NULL;
    *out_start = p;
    *out_length = length;
    return p + length;
}

/* Substitutions and template parameters: "S_", "S1A_", "T0_", and "St" and its likes. */
static const char *skip_reference(const char *p)
{
    p++;
    if (*p >= 'a' && *p <= 'z')
        return p + 1;
    while (is_digit(*p) || (*p >= 'A' && *p <= 'Z'))
        p++;
    return *p == '_' ? p + 1 : NULL;
}

/* Behind the template arguments "I...E" at `p`, NULL when they cannot be read. What opens a level
 * is closed by an 'E'; identifiers are skipped by their length. In a literal ("Lb1E", "L4Kind2E") a
 * type comes first, and what follows it up to the 'E' is a value. */
static const char *skip_template_arguments(const char *p)
{
    const char *start;
    size_t length;
    uint64_t literal_levels = 0; /* bit n: level n is a literal */
    unsigned depth = 0;
    while (p && *p) {
        const bool opens = strchr("INXLFJ", *p) != NULL;
        if (opens) {
            if (++depth > 63)
                return NULL;
            literal_levels &= ~(UINT64_C(1) << depth);
            literal_levels |= (uint64_t)(*p == 'L') << depth;
            p++;
        } else if (is_digit(*p)) {
            p = source_name(p, &start, &length);
        } else if (*p == 'S' || *p == 'T') {
            p = skip_reference(p);
        } else if (*p == 'E') {
            p++;
            if (--depth == 0)
                return p;
        } else {
            p++;
        }
        if (p && !opens && literal_levels >> depth & 1)
            p += strcspn(p, "E");
    }
    return NULL;
}

static void add_part(struct vg_text *out, const char *part, size_t length)
{
    if (out->length > 0)
        vg_text_add(out, "::");
    if (length > 10 && memcmp(part, "_GLOBAL__N", 10) == 0)
        vg_text_add(out, "(anonymous namespace)");
    else
        vg_text_add_bytes(out, part, length);
}

/* Appends the qualified name that follows "_Z" or "_ZN"; stops at the first thing that is neither
 * an identifier nor skippable, such as an operator's code. */
static void add_mangled(struct vg_text *out, const char *p)
{
    const bool nested = *p == 'N';
    const char *last = "";
    size_t last_length = 0;
    if (nested)
        p++;
    p += strspn(p, "rVKRO"); /* qualifiers of the implicit object */
    for (bool more = true; more && p && *p;) {
        const char *next = source_name(p, &last, &last_length);
        if (next) {
            add_part(out, last, last_length);
        } else if (p[0] == 'S' && p[1] == 't') {
            add_part(out, "std", 3);
            next = p + 2;
        } else if (*p == 'L') {
            p++; /* internal linkage */
            continue;
        } else if (*p == 'I') {
            next = skip_template_arguments(p);
        } else if (nested && (*p == 'C' || *p == 'D') && is_digit(p[1]) && last_length > 0) {
            vg_text_add(out, *p == 'D' ? "::~" : "::");
            vg_text_add_bytes(out, last, last_length);
            next = NULL;
        }
        more = nested || (p[0] == 'S' && p[1] == 't');
        p = next;
    }
}

static bool ends_with(const struct vg_text *text, const char *word)
{
    const size_t length = strlen(word);
    return text->length >= length && memcmp(text->data + text->length - length, word, length) == 0;
}

/* Appends a readable name up to its parameters, leaving template arguments out. Parentheses and
 * angle brackets that are part of the name itself stay: "(anonymous namespace)", "operator()",
 * "operator<". */
static void add_readable(struct vg_text *out, const char *name)
{
    static const char anonymous[] = "(anonymous namespace)", operator_word[] = "operator";
    size_t depth = 0;
    for (const char *p = name; *p; p++) {
        if (depth == 0 && strncmp(p, anonymous, sizeof anonymous - 1) == 0) {
            vg_text_add(out, anonymous);
            p += sizeof anonymous - 2;
        } else if (depth == 0 && strncmp(p, operator_word, sizeof operator_word - 1) == 0) {
            size_t length = sizeof operator_word - 1;
            length +=
                strncmp(p + length, "()", 2) == 0 ? 2 : strspn(p + length, "<>=!&|+-*/%^~[],");
            vg_text_add_bytes(out, p, length);
            p += length - 1;
        } else if (*p == '<') {
            depth++;
        } else if (*p == '>' && depth > 0) {
            depth--;
        } else if (depth == 0 && *p == '(') {
            return;
        } else if (depth == 0 && *p == ' ' && !ends_with(out, operator_word)) {
            out->length = 0; /* that was the type of the result */
        } else if (depth == 0) {
            vg_text_add_bytes(out, p, 1);
        }
    }
}

/* The length of a name without its symbol version, "@@GLIBC_2.34", and without what GCC appends to
 * the name of a function that it has changed or cut in parts: "load.constprop.0.isra.0". */
static size_t plain_length(const char *name)
{
    static const char *const clones[] = { ".constprop.", ".isra.", ".part.", ".cold",
                                          ".lto_priv." };
    size_t length = strcspn(name, "@");
    for (size_t i = 0; i < sizeof clones / sizeof clones[0]; i++) {
        const char *const found = strstr(name, clones[i]);
        if (found && found > name && (size_t)(found - name) < length)
            length = (size_t)(found - name);
    }
    return length;
}

void vg_symbol_name(char *out, size_t cap, const char *name)
{
    struct vg_text text = vg_text_over(out, cap);
    if (name[0] == '_' && name[1] == 'Z')
        add_mangled(&text, name + 2);
    else if (strlen(name) > LONG_NAME && strpbrk(name, "(<"))
        add_readable(&text, name);
    if (text.length == 0)
        vg_text_add_bytes(&text, name, plain_length(name));
}
