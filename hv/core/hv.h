/* The hypervisor as a whole: what was given at boot, and how it ends.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_HV_H
#define HV_CORE_HV_H

#include "core/cmdline.h"
#include "core/config.h"
#include "engine/engine.h"
#include "paging/adaptive/params.h"
#include "penumbra/bootinfo.h"

/* What the start found out; it does not change afterwards, but for the engine. Any CPU, no lock. */
const struct cmdline *hv_cmdline(void);
const struct boot_info *hv_boot_info(void);
const struct engine_ops *hv_engine(void);
const struct engine_caps *hv_engine_caps(void);
/* Another table for every vCPU from now on (a trace). CPU 0. */
void hv_set_engine(const struct engine_ops *engine);
/* The config as loaded at boot, overrides applied. */
const struct config *hv_config(void);
/* Thresholds of the paging policies, policy.KEY applied. */
const struct policy_params *hv_policy_params(void);
/* Set in @p what the command line's policy.KEY say; and does one of them say @key? */
void hv_policy_overrides(struct policy_params *p);
bool hv_policy_is_set(const char *key);
/* Module by name; NULL when the loader brought none of that name. */
const struct boot_module *hv_find_module(const char *name);
/* guestbios.bin; checked to be there and whole before any guest is built. */
const struct boot_module *hv_bios_module(void);
/* The host's clock in UTC as its RTC has it, advanced since boot. Year 0: it cannot be read. */
void hv_wall_clock(u16 *year, u8 *month, u8 *day, u8 *hour, u8 *min, u8 *sec);
/* A guest that had ended starts again, or a new one does. */
void hv_guest_started(void);
/* A started guest has ended for good. After the last one exit= is carried out. */
void hv_guest_ended(bool passed);
/* End the machine for the control partition, after the guests that run, which are told. Returns
 * when there are some, or media to be written back. */
void hv_end_machine(enum exit_action action);
/* The control partition has ended by itself. */
void hv_control_ended(void);
/* On CPU 0, now and then: leave as exit= says once what ended guests wrote is on their media. True:
 * it is waited for. */
bool hv_leave_when_written(void);
/* A guest that should have started cannot. */
void hv_guest_failed(void);

/* Entry points from firmware/. */
struct cpu;
void hv_main(struct boot_info *bi);
void hv_ap_main(struct cpu *c);

#endif
