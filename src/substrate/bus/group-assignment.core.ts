/** A partition as the group knows it; `place` is unique within the group. */
export interface AssignablePlace {
  readonly place: string;
  readonly topic: string;
}

export interface GroupMember {
  readonly member: number;
  readonly topics: readonly string[];
}

/** place → member */
export type Assignment = ReadonlyMap<string, number>;

/**
 * Who gets what. Pure and deterministic: the same members, partitions and previous assignment give the same answer in
 * whatever order they are listed.
 *
 * Every partition goes to one member that consumes its topic (or to none, if nobody does). Partitions that the same set
 * of members consumes are shared evenly among them, the largest share at most one above the smallest, and as few of
 * them change hands as that evenness allows: each hand-over stops a partition and costs its next owner a load of state.
 */
export function assignPartitions(
  members: readonly GroupMember[],
  places: readonly AssignablePlace[],
  previous: Assignment,
): Map<string, number> {
  const sorted = [...members].sort((one, two) => one.member - two.member);
  const classes = new Map<string, { readonly eligible: readonly number[]; readonly places: string[] }>();
  for (const { place, topic } of places) {
    const eligible = sorted.filter(({ topics }) => topics.includes(topic)).map(({ member }) => member);
    const name = eligible.join(',');
    const found = classes.get(name) ?? { eligible, places: [] };
    classes.set(name, found);
    found.places.push(place);
  }
  const assignment = new Map<string, number>();
  for (const { eligible, places: shared } of classes.values())
    if (eligible.length > 0) share(eligible, shared.sort(byCodeUnits), previous, assignment);
  return assignment;
}

function share(
  members: readonly number[],
  places: readonly string[],
  previous: Assignment,
  assignment: Map<string, number>,
): void {
  const kept = new Map<number, string[]>(members.map((member) => [member, []]));
  for (const place of places) kept.get(previous.get(place) ?? Number.NaN)?.push(place);

  // places = base·members + extra: `extra` members may have one more than the rest. Giving those seats to whoever already
  // has the most is what keeps the moves at their minimum.
  const base = Math.floor(places.length / members.length);
  const extra = places.length % members.length;
  const byLoad = [...members].sort(
    (one, two) => (kept.get(two)?.length ?? 0) - (kept.get(one)?.length ?? 0) || one - two,
  );
  const quota = new Map(byLoad.map((member, rank) => [member, rank < extra ? base + 1 : base]));

  for (const member of members)
    for (const place of (kept.get(member) ?? []).slice(0, quota.get(member) ?? 0)) assignment.set(place, member);

  const free = places.filter((place) => !assignment.has(place));
  for (const member of members) {
    const missing = (quota.get(member) ?? 0) - Math.min(quota.get(member) ?? 0, kept.get(member)?.length ?? 0);
    for (const place of free.splice(0, missing)) assignment.set(place, member);
  }
}

function byCodeUnits(one: string, two: string): number {
  return one < two ? -1 : one > two ? 1 : 0;
}
