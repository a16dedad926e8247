/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bc

#if !defined(_TRACE_BC_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_BC_H

#include <linux/cgroup.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>

/*
 * A request was refused: who asked for what, and which setting of which level said no. The ids are
 * inode numbers of cgroup directories.
 */
TRACE_EVENT(bc_refuse,

	TP_PROTO(struct cgroup *charged, struct cgroup *at, const char *resource,
		 const char *setting, s64 requested, s64 held, s64 barrier, s64 limit),

	TP_ARGS(charged, at, resource, setting, requested, held, barrier, limit),

	TP_STRUCT__entry(
		__field(u64, charged)
		__field(u64, at)
		__field(int, level)
		__string(resource, resource)
		__string(setting, setting)
		__field(s64, requested)
		__field(s64, held)
		__field(s64, barrier)
		__field(s64, limit)
		__array(char, comm, TASK_COMM_LEN)
		__field(pid_t, pid)
	),

	TP_fast_assign(
		__entry->charged = cgroup_id(charged);
		__entry->at = cgroup_id(at);
		__entry->level = at->level;
		__assign_str(resource);
		__assign_str(setting);
		__entry->requested = requested;
		__entry->held = held;
		__entry->barrier = barrier;
		__entry->limit = limit;
		memcpy(__entry->comm, current->comm, TASK_COMM_LEN);
		__entry->pid = current->pid;
	),

	TP_printk("cgroup=%llu resource=%s requested=%lld held=%lld barrier=%lld limit=%lld refused_by=%s at=%llu level=%d comm=%s pid=%d",
		  __entry->charged, __get_str(resource), __entry->requested, __entry->held,
		  __entry->barrier, __entry->limit, __get_str(setting), __entry->at,
		  __entry->level, __entry->comm, __entry->pid)
);

#endif /* _TRACE_BC_H */

#include <trace/define_trace.h>
