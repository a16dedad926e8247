// SPDX-License-Identifier: GPL-2.0

#include <linux/cgroup.h>

/* Real functions when references are debugged. */
#if defined(CONFIG_CGROUPS) && !defined(CONFIG_DEBUG_CGROUP_REF)
__rust_helper void rust_helper_css_get_many(struct cgroup_subsys_state *css, unsigned int n)
{
	css_get_many(css, n);
}

__rust_helper void rust_helper_css_put_many(struct cgroup_subsys_state *css, unsigned int n)
{
	css_put_many(css, n);
}
#endif /* CONFIG_CGROUPS && !CONFIG_DEBUG_CGROUP_REF */
