/* Causes of calls that name no amount: a context, a module or a library did not fit. Internal to
 * the view floor. */
#ifndef VRAMGUARD_VIEW_ADVICE_CONTEXT_H
#define VRAMGUARD_VIEW_ADVICE_CONTEXT_H

#include "base/size.h"
#include "view/advice.h"

/* A context takes some hundred MiB, loaded modules and libraries come on top: calls that name no
 * amount and fail with less free than this failed for lack of it. */
#define VG_ADVICE_HEADROOM_BYTES VG_GIB

extern const struct vg_advice_row vg_advice_pinning;  /* of host memory, which makes a context */
extern const struct vg_advice_row vg_advice_headroom; /* any other */

#endif
