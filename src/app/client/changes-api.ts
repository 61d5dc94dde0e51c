import { Type } from '@sinclair/typebox';
import { GovernanceFactSchema } from '../../rails/events/governance-fact.schema.js';
import type { RegistryFact } from '../../rails/events/registry-fact.schema.js';
import { PostureSchema } from '../../rails/events/posture.schema.js';
import type { Sealed } from '../../rails/schema.js';
import { type Validator, validatorOf } from '../../rails/validator.js';
import { RegistryApi } from './registry-api.js';
import { type DoorApi, type DoorRole, got, queryOf } from './door-api.js';

const FactsSchema = Type.Object({
  changes: Type.Array(Type.Object({ fact: GovernanceFactSchema })),
  next_cursor: Type.Optional(Type.String()),
});
const PosturesSchema = Type.Object({
  changes: Type.Array(Type.Object({ posture: PostureSchema })),
  next_cursor: Type.Optional(Type.String()),
});
type Page<Change> = { readonly changes: readonly Change[]; readonly next_cursor?: string | undefined };

const readers = {
  facts: validatorOf(FactsSchema, 'the changes'),
  postures: validatorOf(PosturesSchema, 'the history of the posture'),
};
const PAGE_MAX = 200;

export type GovernanceChange = Sealed<typeof FactsSchema>['changes'][number]['fact'];
export type PostureChange = Sealed<typeof PosturesSchema>['changes'][number]['posture'];

/** Policies and operations; datasets; trainings: each unit keeps the facts that are its own. */
const FACTS_AT = { ops: '/v1/changes', ofs: '/v1/datasets/facts', mf: '/v1/training-runs/facts' } as const;
export type FactKeeper = keyof typeof FACTS_AT;

/** The routes that say what came into force, and when. */
export class ChangesApi {
  constructor(private readonly door: DoorApi) {}

  /** Of whoever keeps them, youngest first, at most so many. */
  async facts(
    of: FactKeeper,
    query: { readonly from?: string | undefined; readonly to?: string | undefined },
    max: number,
  ): Promise<readonly GovernanceChange[]> {
    const found = await this.#pages(of, FACTS_AT[of], query, readers.facts, max, () => true);
    return found.map(({ fact }) => fact);
  }

  /** Youngest first, from before `to` back to `from`, at most so many. */
  async postures(
    { from, to }: { readonly from?: string | undefined; readonly to?: string | undefined },
    max: number,
  ): Promise<readonly PostureChange[]> {
    const isWanted = ({ posture }: { readonly posture: PostureChange }): boolean =>
      from === undefined || Date.parse(posture.decided_at_utc) >= Date.parse(from);
    const isBefore = ({ posture }: { readonly posture: PostureChange }): boolean =>
      to === undefined || Date.parse(posture.decided_at_utc) < Date.parse(to);
    const found = await this.#pages('dl', '/v1/posture/history', {}, readers.postures, max, isWanted, isBefore);
    return found.map(({ posture }) => posture);
  }

  /** All of the registry between the two times; it has few. Oldest first. */
  async bundles({
    from,
    to,
  }: {
    readonly from?: string | undefined;
    readonly to?: string | undefined;
  }): Promise<readonly RegistryFact[]> {
    const registry = new RegistryApi(this.door);
    const found: RegistryFact[] = [];
    let cursor: string | undefined;
    for (;;) {
      const page = await registry.facts({ limit: PAGE_MAX, cursor });
      found.push(...page.facts);
      if (page.facts.length < PAGE_MAX) break;
      ({ cursor } = page);
    }
    return found.filter(({ recorded_at_utc: at }) => {
      const ms = Date.parse(at);
      return (from === undefined || ms >= Date.parse(from)) && (to === undefined || ms < Date.parse(to));
    });
  }

  /** Page after page until one holds something that is not wanted any more, or there are enough. */
  async #pages<Change>(
    role: DoorRole,
    path: string,
    query: Readonly<Record<string, string | undefined>>,
    reader: Validator<Page<Change>>,
    max: number,
    isWanted: (change: Change) => boolean,
    /** What is younger is passed over, and counts for nothing. */
    isBefore: (change: Change) => boolean = () => true,
  ): Promise<readonly Change[]> {
    const found: Change[] = [];
    let cursor: string | undefined;
    do {
      const page: Page<Change> = await this.door.ask(
        role,
        got(`${path}${queryOf({ ...query, limit: PAGE_MAX, cursor })}`),
        reader,
      );
      const wanted = page.changes.filter(isWanted);
      found.push(...wanted.filter(isBefore));
      cursor = wanted.length < page.changes.length ? undefined : page.next_cursor;
    } while (cursor !== undefined && found.length < max);
    return found.slice(0, max);
  }
}
