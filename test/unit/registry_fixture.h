/* A registry of the test's own, in its scratch folder. */
#ifndef VG_TEST_REGISTRY_FIXTURE_H
#define VG_TEST_REGISTRY_FIXTURE_H

#include "core_fixture.h"
#include "shared/shared_file.h"

static UNUSED char folder[128];

/* The set-up of a test; the tear-down is remove_scratch. The folder itself is made on first use. */
static UNUSED int make_registry_folder(void **state)
{
    if (make_scratch(state) != 0)
        return -1;
    snprintf(folder, sizeof folder, "%s/registry", scratch);
    vg_registry_directory = folder;
    return 0;
}

#endif
