/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names every type of the ABI once, so that clang writes all of them to BTF. Never loaded, never shipped:
 * gen_abi.py reads this object and the maps of the real ones, and writes _abi.py.
 */
#include "../include/spale_abi.h"

union spale_abi {
	enum spale_const constant;
	enum spale_flag flag;
	enum spale_service service;
	enum spale_reason reason;
	struct spale_addr addr;
	struct spale_settings settings;
	struct spale_grant_key grant_key;
	struct spale_grant grant;
	enum spale_session_state session_state;
	struct spale_session_key session_key;
	struct spale_session session;
	struct spale_allow_key allow_key;
	struct spale_tag tag;
	struct spale_v1_tag v1_tag;
	struct spale_v1_bucket_key v1_bucket_key;
	struct spale_counter counter;
};

union spale_abi spale_abi;
