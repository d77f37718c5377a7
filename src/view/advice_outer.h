/* Causes outside the GPU's memory: the host, MPS, address space, another interposer. */
#ifndef VRAMGUARD_VIEW_ADVICE_OUTER_H
#define VRAMGUARD_VIEW_ADVICE_OUTER_H

#include "view/advice.h"

extern const struct vg_advice_row vg_advice_host_memory;   /* a call that takes host memory */
extern const struct vg_advice_row vg_advice_mps_limit;     /* enough is free, MPS allows no more */
extern const struct vg_advice_row vg_advice_address_space; /* enough is free, no addresses are */
extern const struct vg_advice_row vg_advice_reservation;   /* a call that takes only addresses */
extern const struct vg_advice_row
    vg_advice_interposer; /* enough is free, another library refused */

extern const struct vg_advice_row vg_advice_bypass; /* what a library that goes past us holds */

#endif
