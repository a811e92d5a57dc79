/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIM_MMU_TABLES_H
#define TESTS_SIM_MMU_TABLES_H

/* Print what the model of TLB and walks says of the bench loads, and the policies with it. */
void mmu_tables(void);

#endif
