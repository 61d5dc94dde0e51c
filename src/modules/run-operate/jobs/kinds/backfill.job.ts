import { Injectable } from '@nestjs/common';
import { type Static, Type } from '@sinclair/typebox';
import { asBasis } from '../../../../rails/basis.js';
import type { JsonObject } from '../../../../rails/canonical-json.js';
import { OffsetSchema } from '../../../../rails/eb-ref.js';
import { ProbityError } from '../../../../rails/errors/probity-error.js';
import { isErrorCode } from '../../../../rails/errors/registry.js';
import type { Ref } from '../../../../rails/ref.js';
import { closed } from '../../../../rails/schema.js';
import { Clock } from '../../../../substrate/clock/clock.port.js';
import type {
  Compared,
  Generation,
  RebuildOrder,
  RebuildPort,
} from '../../../../substrate/projection/generation.schema.js';
import { outgoing } from '../../../../substrate/rpc/outgoing.js';
import { EntityGraphPort } from '../../../entity-graph/entity-graph.port.js';
import { FeaturePlanePort } from '../../../feature-plane/feature-plane.port.js';
import type { Told } from '../../operation-facts.js';
import { BackfillPlans } from '../backfill-plans.js';
import type { JobFault, JobKind, JobWork } from '../job-kind.js';

export const BACKFILL = 'backfill';
const CALL_LIMIT_MS = 30_000;
/** A unit says at once where it stands; so long until it is asked again. */
const LOOK_MS = 100;

export const BackfillScopeSchema = closed({
  /** The role whose state is made again. */
  target: Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,63}$' }),
  source: Type.Optional(Type.Union([Type.Literal('auto'), Type.Literal('bus'), Type.Literal('archive')])),
  /** Left out, or `head`: as far as the state has got that is served. Or topic, partition, next offset. */
  basis: Type.Optional(
    Type.Union([
      Type.Literal('head'),
      closed({
        'fp.bus.traffic.v1': Type.Optional(
          Type.Record(Type.String({ pattern: '^(0|[1-9][0-9]{0,9})$' }), OffsetSchema),
        ),
        'fp.bus.control.v1': Type.Optional(
          Type.Record(Type.String({ pattern: '^(0|[1-9][0-9]{0,9})$' }), OffsetSchema),
        ),
      }),
    ]),
  ),
  cutover: Type.Optional(Type.Union([Type.Literal('none'), Type.Literal('when_equal')])),
});
type BackfillScope = Static<typeof BackfillScopeSchema>;

/**
 * Makes derived state from the log again: another generation beside the one that is served, in the tables of the unit whose state it is and by that unit's own
 * process. Compared at its basis; put in the other one's place where the scope says so and both are equal. No truth can be named as its target.
 */
@Injectable()
export class BackfillJob implements JobKind {
  readonly kind = BACKFILL;
  readonly summary = 'Makes the feature state or the graph from the log again, and compares it with what is served.';
  readonly scope = BackfillScopeSchema;
  readonly #targets: ReadonlyMap<string, RebuildPort>;

  constructor(
    features: FeaturePlanePort,
    graph: EntityGraphPort,
    private readonly plans: BackfillPlans,
    private readonly clock: Clock,
  ) {
    this.#targets = new Map<string, RebuildPort>([
      ['ofp', features],
      ['ieg', graph],
    ]);
  }

  refuses({ target }: JsonObject): string | null {
    if (this.#targets.has(target as string)) return null;
    return `/target is no derived state: ${[...this.#targets.keys()].join(' and ')} can be backfilled; truth is only ever appended to`;
  }

  async run(given: JsonObject, work: JobWork): Promise<JsonObject> {
    // The kinds have compared the scope with the schema.
    const scope = given as unknown as BackfillScope;
    const { target, source = 'auto', basis: wished = 'head' } = scope;
    const { ref, plan } = await this.plans.settled({
      ...{ opId: work.opId, source },
      basis: async () => {
        if (wished !== 'head') return await this.plans.named(wished);
        return asBasis((await this.#port(target).live({}, this.#context(work))).basis);
      },
    });
    const { generation, policy_rev, counted } = await this.#brought(target, { plan: ref, to: 'BUILT' }, work);
    return {
      ...{ target, generation, plan: ref as unknown as JsonObject, basis: plan.basis as unknown as JsonObject },
      ...{ policy_rev: policy_rev as unknown as JsonObject, counted },
      read: plan.pieces.map(({ topic, partition, start, end, source: from, chunks }) => ({
        ...{ topic, partition, start, end, source: from },
        ...(chunks.length === 0 ? {} : { archive: { chunks: chunks.length, chain: chunks.at(-1)?.chain ?? null } }),
      })),
    };
  }

  /** @throws REPLAY_DIVERGENCE that names the first run that differs */
  async verify(given: JsonObject, { plan }: JsonObject, work: JobWork): Promise<JsonObject> {
    const { target, cutover = 'none' } = given as unknown as BackfillScope;
    const order = { plan: plan as unknown as Ref };
    const { compared } = await this.#brought(target, { ...order, to: 'COMPARED' }, work);
    if (compared === null) throw new ProbityError('INTERNAL', 'a generation was compared, and nothing was found');
    if (!compared.equal) throw divergence(compared);
    work.signal.throwIfAborted();
    if (cutover === 'when_equal') await this.#brought(target, { ...order, to: 'LIVE' }, work);
    return { equal: true, runs: compared.runs as unknown as JsonObject[], cutover: cutover === 'when_equal' };
  }

  tells({ target, generation, counted, plan }: JsonObject, { runs, cutover }: JsonObject): readonly Told[] {
    const { records, events, labels, invalid } = counted as unknown as Generation['counted'];
    const told = { subject: target as string, evidence: [plan as unknown as Ref] };
    const number = generation as number;
    const completed: Told = {
      ...{ ...told, kind: 'BACKFILL_COMPLETED', reason: 'the log folded again is what is served' },
      detail: { generation: number, records, events, labels, invalid, runs: (runs as readonly unknown[]).length },
    };
    if (cutover !== true) return [completed];
    return [
      completed,
      { ...told, kind: 'CUTOVER', reason: 'the new generation is served', detail: { generation: number } },
    ];
  }

  tellsFailure({ target }: JsonObject, { code, says }: JobFault): readonly Told[] {
    return [{ kind: 'BACKFILL_FAILED', subject: target as string, reason: says.slice(0, 1_000), detail: { code } }];
  }

  /** Asks until it stands where it was to be brought. @throws what ended it */
  async #brought(target: string, order: Omit<RebuildOrder, 'op_id'>, work: JobWork): Promise<Generation> {
    const request = { ...order, op_id: work.opId };
    for (;;) {
      const found = await this.#port(target).rebuild(request, this.#context(work));
      if (found.fault !== null) {
        const { code, says } = found.fault;
        throw new ProbityError(isErrorCode(code) ? code : 'INTERNAL', says);
      }
      if (REACHED[order.to].includes(found.state)) return found;
      await this.clock.sleep(LOOK_MS, work.signal);
      work.signal.throwIfAborted();
    }
  }

  #port(target: string): RebuildPort {
    const port = this.#targets.get(target);
    if (port === undefined) throw new ProbityError('INTERNAL', 'a target was not refused');
    return port;
  }

  #context({ signal }: JobWork): ReturnType<typeof outgoing> {
    return outgoing(this.clock, CALL_LIMIT_MS, { signal });
  }
}

const REACHED: Readonly<Record<RebuildOrder['to'], readonly Generation['state'][]>> = {
  BUILT: ['BUILT', 'EQUAL', 'DIFFERENT', 'LIVE'],
  COMPARED: ['EQUAL', 'DIFFERENT', 'LIVE'],
  LIVE: ['LIVE'],
};

function divergence({ differs }: Compared): ProbityError {
  const { live = null, built = null } = differs ?? {};
  const rows = (side: typeof live): string => (side === null ? 'nothing' : `${side.rows} rows`);
  const of = (live ?? built)?.run_id ?? null;
  return new ProbityError(
    'REPLAY_DIVERGENCE',
    `${of === null ? 'records of no run' : `run ${of}`}: ${rows(live)} are served, and the log gives ${rows(built)}`,
  );
}
