// SPDX-License-Identifier: GPL-2.0
/* Who a thread is, and what it may do; users and groups are those that the caller knows. */

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/sched/user.h>
#include <linux/securebits.h>
#include <linux/security.h>
#include <linux/uidgid.h>

#include "internal.h"

/*
 * The supplementary groups are for @groups, as many as there is room for. Return how many there
 * are.
 */
size_t ckpt_cred(const struct cred *cred, struct ckpt_cred *into, u32 *groups,
		 size_t size)
{
	struct user_namespace *ns = current_user_ns();
	const struct group_info *info = cred->group_info;
	size_t i, nr = info->ngroups;

	*into = (struct ckpt_cred) {
		.uid = from_kuid(ns, cred->uid),
		.euid = from_kuid(ns, cred->euid),
		.suid = from_kuid(ns, cred->suid),
		.fsuid = from_kuid(ns, cred->fsuid),
		.gid = from_kgid(ns, cred->gid),
		.egid = from_kgid(ns, cred->egid),
		.sgid = from_kgid(ns, cred->sgid),
		.fsgid = from_kgid(ns, cred->fsgid),
		.securebits = cred->securebits,
	};
	/* Those of another namespace say nothing here. */
	if (cred->user_ns == ns) {
		into->inheritable = cred->cap_inheritable.val;
		into->permitted = cred->cap_permitted.val;
		into->effective = cred->cap_effective.val;
		into->bounding = cred->cap_bset.val;
		into->ambient = cred->cap_ambient.val;
	}
	for (i = 0; i < min(nr, size); i++)
		groups[i] = from_kgid(ns, info->gid[i]);
	return nr;
}

/* Whether all of the users and groups have numbers in the caller's namespace. */
bool ckpt_cred_known(const struct cred *cred)
{
	struct user_namespace *ns = current_user_ns();
	const struct group_info *groups = cred->group_info;
	int i;

	for (i = 0; i < groups->ngroups; i++)
		if (!kgid_has_mapping(ns, groups->gid[i]))
			return false;
	return kuid_has_mapping(ns, cred->uid) && kuid_has_mapping(ns, cred->euid) &&
	       kuid_has_mapping(ns, cred->suid) && kuid_has_mapping(ns, cred->fsuid) &&
	       kgid_has_mapping(ns, cred->gid) && kgid_has_mapping(ns, cred->egid) &&
	       kgid_has_mapping(ns, cred->sgid) && kgid_has_mapping(ns, cred->fsgid);
}

static int set_users(struct cred *new, const struct cred *old, const struct ckpt_cred *from)
{
	struct user_struct *user;

	new->uid = make_kuid(old->user_ns, from->uid);
	new->euid = make_kuid(old->user_ns, from->euid);
	new->suid = make_kuid(old->user_ns, from->suid);
	new->fsuid = make_kuid(old->user_ns, from->fsuid);
	if (!uid_valid(new->uid) || !uid_valid(new->euid) || !uid_valid(new->suid) ||
	    !uid_valid(new->fsuid))
		return -EINVAL;
	if (uid_eq(new->uid, old->uid) && uid_eq(new->euid, old->euid) &&
	    uid_eq(new->suid, old->suid) && uid_eq(new->fsuid, old->fsuid))
		return 0;
	if (!ns_capable(old->user_ns, CAP_SETUID))
		return -EPERM;
	user = alloc_uid(new->uid);
	if (!user)
		return -EAGAIN;
	free_uid(new->user);
	new->user = user;
	return security_task_fix_setuid(new, old, LSM_SETID_RES) ?: set_cred_ucounts(new);
}

static int set_main_groups(struct cred *new, const struct cred *old,
			   const struct ckpt_cred *from)
{
	new->gid = make_kgid(old->user_ns, from->gid);
	new->egid = make_kgid(old->user_ns, from->egid);
	new->sgid = make_kgid(old->user_ns, from->sgid);
	new->fsgid = make_kgid(old->user_ns, from->fsgid);
	if (!gid_valid(new->gid) || !gid_valid(new->egid) || !gid_valid(new->sgid) ||
	    !gid_valid(new->fsgid))
		return -EINVAL;
	if (gid_eq(new->gid, old->gid) && gid_eq(new->egid, old->egid) &&
	    gid_eq(new->sgid, old->sgid) && gid_eq(new->fsgid, old->fsgid))
		return 0;
	if (!ns_capable(old->user_ns, CAP_SETGID))
		return -EPERM;
	return security_task_fix_setgid(new, old, LSM_SETID_RES);
}

static bool same_groups(const struct group_info *a, const struct group_info *b)
{
	return a->ngroups == b->ngroups && !memcmp(a->gid, b->gid, a->ngroups * sizeof(*a->gid));
}

static int set_other_groups(struct cred *new, const struct cred *old, const u32 *groups,
			    size_t nr)
{
	struct group_info *info;
	int ret = 0;
	size_t i;

	if (nr > NGROUPS_MAX)
		return -EINVAL;
	info = groups_alloc(nr);
	if (!info)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		info->gid[i] = make_kgid(old->user_ns, groups[i]);
		if (!gid_valid(info->gid[i])) {
			put_group_info(info);
			return -EINVAL;
		}
	}
	groups_sort(info);
	if (!same_groups(info, old->group_info)) {
		ret = may_setgroups() ? 0 : -EPERM;
		if (!ret) {
			set_groups(new, info);
			ret = security_task_fix_setgroups(new, old);
		}
	}
	put_group_info(info);
	return ret;
}

/* No more than the caller has; what becomes of them by the change of users is of no matter. */
static int set_capabilities(struct cred *new, const struct cred *old,
			    const struct ckpt_cred *from)
{
	const kernel_cap_t inheritable = { from->inheritable }, permitted = { from->permitted };
	const kernel_cap_t effective = { from->effective }, bounding = { from->bounding };
	const kernel_cap_t ambient = { from->ambient };
	int ret;

	if (!cap_issubset(bounding, old->cap_bset))
		return -EPERM;
	if (!cap_issubset(ambient, cap_intersect(permitted, inheritable)))
		return -EINVAL;
	if (issecure(SECURE_NO_CAP_AMBIENT_RAISE) && !cap_issubset(ambient, old->cap_ambient))
		return -EPERM;
	cap_clear(new->cap_ambient);
	ret = security_capset(new, old, &effective, &inheritable, &permitted);
	if (ret)
		return ret;
	new->cap_bset = bounding;
	new->cap_ambient = ambient;
	return 0;
}

/* As PR_SET_SECUREBITS. */
static int set_securebits(struct cred *new, const struct cred *old, u32 bits)
{
	const u32 locks = old->securebits & SECURE_ALL_LOCKS;

	if (bits == old->securebits)
		return 0;
	if ((locks >> 1) & (old->securebits ^ bits) || locks & ~bits ||
	    bits & ~(SECURE_ALL_LOCKS | SECURE_ALL_BITS) ||
	    !ns_capable(old->user_ns, CAP_SETPCAP))
		return -EPERM;
	new->securebits = bits;
	return 0;
}

/* With the rights of the current task, not beyond. */
static struct cred *make(const struct ckpt_cred *cred, const u32 *groups, size_t nr)
{
	const struct cred *old = current_cred();
	struct cred *new = prepare_creds();
	int ret;

	if (!new)
		return ERR_PTR(-ENOMEM);
	ret = set_users(new, old, cred) ?:
	      set_main_groups(new, old, cred) ?:
	      set_other_groups(new, old, groups, nr) ?:
	      set_capabilities(new, old, cred) ?:
	      set_securebits(new, old, cred->securebits);
	if (ret) {
		abort_creds(new);
		return ERR_PTR(ret);
	}
	return new;
}

/* Of the current task, which is new and has those of the caller. */
int ckpt_cred_set(const struct ckpt_cred *cred, const u32 *groups, size_t nr)
{
	struct cred *new = make(cred, groups, nr);

	return IS_ERR(new) ? PTR_ERR(new) : commit_creds(new);
}

/*
 * Those that somebody has opened a file with, to open it again: the same users and groups, and what
 * he had of the capabilities of the current task.
 */
const struct cred *ckpt_cred_opener(const struct ckpt_cred *cred, const u32 *groups, size_t nr)
{
	const struct cred *mine = current_cred();
	struct ckpt_cred opener = *cred;

	opener.securebits = mine->securebits;
	opener.bounding = mine->cap_bset.val;
	opener.inheritable = 0;
	opener.ambient = 0;
	opener.permitted &= mine->cap_permitted.val;
	opener.effective &= opener.permitted;
	return make(&opener, groups, nr);
}
