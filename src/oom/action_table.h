/* The actions that VRAMGUARD_POLICY can name: VG_ACTION(name) for each `vg_action_<name>`. */
VG_ACTION(trim)
VG_ACTION(wait)
VG_ACTION(spill)
