import { Injectable } from '@nestjs/common';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { IDENTIFIER_TYPES, type IdentifierType } from '../../rails/graph/graph.schema.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { EntityGraphPort } from '../entity-graph/entity-graph.port.js';
import type { Case, Mark } from './case.schema.js';
import { type CaseInBrief, CaseMarksStore, type MarksState, type SimilarCase } from './case-marks.store.js';
import { CASES_POLICY } from './case-workbench.policy.js';
import { CaseWorkbenchStore } from './case-workbench.store.js';

const NEIGHBOURS_PER_IDENTIFIER = 50;
const NEIGHBOURS_MAX = 200;
const CASES_PER_IDENTIFIER = 20;
const CALL_LIMIT_MS = 3_000;
const OF_THE_GRAPH: ReadonlySet<string> = new Set(IDENTIFIER_TYPES);

interface Named {
  readonly type: IdentifierType;
  readonly id: string;
}

/** What hangs together with a case. `state` says whether its own identifiers were read: until then there is nothing to ask about. */
export interface Neighbourhood {
  readonly state: MarksState;
  readonly graph:
    | { readonly status: 'SERVED'; readonly graph_version: object; readonly integrity: string; readonly more: boolean }
    | { readonly status: 'UNAVAILABLE'; readonly code: string; readonly detail: string }
    | { readonly status: 'NOT_ASKED' };
  /** What the payment itself names. */
  readonly own: readonly (Named & { readonly cases: readonly CaseInBrief[] })[];
  /** What stands in the same events as one of those. */
  readonly neighbours: readonly (Neighbour & { readonly cases: readonly CaseInBrief[] })[];
}

interface Neighbour extends Named {
  readonly through: readonly Named[];
  /** That name both, summed over what it is a neighbour through. */
  readonly events: number;
  readonly last_seen: string;
}

/** Where to look next from a case: cases alike, and what the graph knows around it. */
@Injectable()
export class CaseNeighbours {
  constructor(
    private readonly cases: CaseWorkbenchStore,
    private readonly marks: CaseMarksStore,
    private readonly graph: EntityGraphPort,
    private readonly policies: Policies,
    private readonly clock: Clock,
  ) {}

  /** @throws CASE_NOT_FOUND */
  async similar(
    caseId: string,
    limit: number,
  ): Promise<{ readonly state: MarksState; readonly similar: readonly SimilarCase[] }> {
    const { weights } = this.policies.inForce(CASES_POLICY).body.similar;
    const [named, similar] = await Promise.all([
      this.marks.marksOf(caseId),
      this.marks.similar(caseId, limit, weights),
    ]);
    if (named === null) throw new ProbityError('CASE_NOT_FOUND', 'no case has this id');
    return { state: named.state, similar };
  }

  /** A graph that cannot be asked is named with its code, and the rest is answered. @throws CASE_NOT_FOUND */
  async around(caseId: string, trace?: CallContext['trace']): Promise<Neighbourhood> {
    const [found, named] = await Promise.all([this.cases.find(caseId), this.marks.marksOf(caseId)]);
    if (found === null || named === null) throw new ProbityError('CASE_NOT_FOUND', 'no case has this id');
    const own = named.marks.flatMap(({ kind, value }): readonly Named[] =>
      OF_THE_GRAPH.has(kind) ? [{ type: kind as IdentifierType, id: value }] : [],
    );
    const { graph, neighbours } = await this.#neighbours(found, own, trace);
    const marksAsked = [...own, ...neighbours].map(({ type, id }): Mark => ({ kind: type, value: id }));
    const cases = await this.marks.casesNaming(found.pins.run_id, marksAsked, {
      except: caseId,
      limit: CASES_PER_IDENTIFIER,
    });
    return {
      state: named.state,
      graph,
      own: own.map((one, at) => ({ ...one, cases: cases[at] ?? [] })),
      neighbours: neighbours.map((one, at) => ({ ...one, cases: cases[own.length + at] ?? [] })),
    };
  }

  async #neighbours(
    { pins }: Case,
    own: readonly Named[],
    trace: CallContext['trace'] | undefined,
  ): Promise<{ readonly graph: Neighbourhood['graph']; readonly neighbours: readonly Neighbour[] }> {
    if (own.length === 0) return { graph: { status: 'NOT_ASKED' }, neighbours: [] };
    try {
      const { results, graph_version, integrity } = await this.graph.neighbours(
        { pins, identifiers: [...own], limit: NEIGHBOURS_PER_IDENTIFIER },
        outgoing(this.clock, CALL_LIMIT_MS, trace === undefined ? {} : { trace }),
      );
      const all = gathered(own, results);
      const more = all.length > NEIGHBOURS_MAX || results.some((result) => result.more);
      return { graph: { status: 'SERVED', graph_version, integrity, more }, neighbours: all.slice(0, NEIGHBOURS_MAX) };
    } catch (error) {
      if (!isProbityError(error)) throw error;
      return { graph: { status: 'UNAVAILABLE', code: error.code, detail: error.detail }, neighbours: [] };
    }
  }
}

/** Each neighbour once, with all that it is one through; the closest first. */
function gathered(
  own: readonly Named[],
  results: Awaited<ReturnType<EntityGraphPort['neighbours']>>['results'],
): readonly Neighbour[] {
  const names = new Set(own.map(({ type, id }) => `${type} ${id}`));
  const found = new Map<string, Neighbour>();
  own.forEach((through, at) => {
    for (const { type, id, events, last_seen } of results[at]?.neighbours ?? []) {
      const name = `${type} ${id}`;
      if (names.has(name)) continue;
      const known = found.get(name);
      found.set(name, {
        type,
        id,
        through: [...(known?.through ?? []), through],
        events: (known?.events ?? 0) + events,
        last_seen: known !== undefined && known.last_seen > last_seen ? known.last_seen : last_seen,
      });
    }
  });
  return [...found.values()].sort((a, b) => b.through.length - a.through.length || b.events - a.events);
}
