/* The reader's part that takes journal records apart. Internal to the recorder layer. */
#ifndef VRAMGUARD_RECORD_READER_JOURNAL_H
#define VRAMGUARD_RECORD_READER_JOURNAL_H

#include "record/reader.h"

/* Takes the records of one extent of the journal, `length` bytes at `chunk` (8-byte aligned, kept
 * by the reader), which begins at `area_offset` of the journal. `*out_more` tells whether records
 * may follow in the next extent. Returns 0 or -ENOMEM. */
int vg_reader_parse_chunk(struct vg_reader *reader, const char *chunk, size_t length,
                          uint64_t area_offset, bool *out_more);

#endif
