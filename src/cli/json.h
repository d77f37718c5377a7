/* The little JSON that the tool prints (RFC 8259). */
#ifndef VRAMGUARD_CLI_JSON_H
#define VRAMGUARD_CLI_JSON_H

/* Prints `text` as a string; what is not printable is replaced. */
void vg_json_print_string(const char *text);

#endif
