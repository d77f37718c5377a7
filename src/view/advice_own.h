/* The causes that lie in the failing process itself; their order stands in advice.c. Internal to
 * the report layer. */
#ifndef VRAMGUARD_VIEW_ADVICE_OWN_H
#define VRAMGUARD_VIEW_ADVICE_OWN_H

#include "view/advice.h"

extern const struct vg_advice_row vg_advice_idle_pool;   /* pools keep what is missing */
extern const struct vg_advice_row vg_advice_own_context; /* contexts outweigh allocations */
extern const struct vg_advice_row vg_advice_own_site;    /* one place holds most */
extern const struct vg_advice_row vg_advice_own_total;   /* all in all */

#endif
