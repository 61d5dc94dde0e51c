import { Injectable } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import { type Digest, digestBytes } from '../../rails/digest.js';
import { payloadHash } from '../../rails/envelope.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { differingPins } from '../../rails/pins.js';
import { fromEpochMs, type UtcMicros } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Access, type Principal } from '../../substrate/identity/identity.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { AdmittedRecords } from './admitted-records.js';
import { evidenceFault } from './case.core.js';
import type { Case, Evidence } from './case.schema.js';
import { CASES_POLICY } from './case-workbench.policy.js';
import { CaseWorkbenchStore } from './case-workbench.store.js';

/** Verified bytes of one piece of evidence. */
export interface Given {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly mediaType: string;
}

/** One reading, or the try of one. */
export interface EvidenceRead {
  readonly number: number;
  readonly place: number;
  readonly kind: Evidence['kind'] | null;
  readonly evidence_id: string | null;
  readonly actor_id: string;
  readonly purpose: string;
  readonly outcome: 'GIVEN' | 'REFUSED';
  readonly code: string | null;
  readonly digest: Digest | null;
  readonly read_at: UtcMicros;
}

export const EVIDENCE_PERMISSION = 'cases.evidence';

/**
 * Evidence is read through its case, as an act: who read what, and what for, is written down before a byte leaves, also where it was refused. What
 * is given is verified: an object by the digest of its ref, a record by that of its receipt.
 */
@Injectable()
export class CaseEvidence {
  readonly #reads: Counter;

  constructor(
    private readonly store: CaseWorkbenchStore,
    private readonly records: AdmittedRecords,
    private readonly objects: Objects,
    private readonly access: Access,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#reads = telemetry.meter.createCounter('cases.evidence.reads', {
      description: 'Readings of evidence, by kind, outcome and code',
    });
  }

  /**
   * @param place in the list of evidence of the case, from 1
   * @throws CASE_NOT_FOUND; AUTHZ_DENIED, CASE_EVIDENCE_… and OBJECTS_… after they were written down
   */
  async read(caseId: string, place: number, purpose: string, caller: Principal): Promise<Given> {
    const found = await this.store.find(caseId);
    if (found === null) throw new ProbityError('CASE_NOT_FOUND', 'no case has this id');
    const evidence = found.evidence[place - 1];
    const verdict = await this.#verdict(found, evidence, caller);
    const code = isProbityError(verdict) ? verdict.code : null;
    const digest = isProbityError(verdict) ? null : verdict.digest;
    const outcome = code === null ? 'GIVEN' : 'REFUSED';
    await this.store.database.query(
      `insert into evidence_reads (case_id, place, kind, evidence_id, actor_id, purpose, outcome, code, digest, read_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [
        ...[caseId, place, evidence?.kind ?? null, evidence?.id ?? null, caller.actor.actor_id, purpose],
        ...[outcome, code, digest, fromEpochMs(this.clock.nowMs())],
      ],
    );
    this.#reads.add(1, { kind: evidence?.kind ?? 'none', outcome, code: code ?? '' });
    const told = { case_id: caseId, place, outcome, code: code ?? '', actor: caller.actor.actor_id };
    this.telemetry.logger.info('case_evidence_read', told);
    if (isProbityError(verdict)) throw verdict;
    return verdict;
  }

  /** Youngest first. */
  async reads(caseId: string, limit: number, before?: number): Promise<readonly EvidenceRead[]> {
    const { rows } = await this.store.database.query<EvidenceRead>(
      {
        text: `select number, place, kind, evidence_id, actor_id, purpose, outcome, code, digest, read_at from evidence_reads
               where case_id = $1 and ($2::bigint is null or number < $2) order by number desc limit $3`,
        readOnly: true,
      },
      [caseId, before ?? null, limit],
    );
    return rows;
  }

  async #verdict(found: Case, evidence: Evidence | undefined, caller: Principal): Promise<Given | ProbityError> {
    try {
      this.access.demand(caller, EVIDENCE_PERMISSION);
      if (evidence === undefined) throw new ProbityError('CASE_EVIDENCE_UNKNOWN', 'the list is shorter');
      return await this.#given(found, evidence);
    } catch (error) {
      if (isProbityError(error)) return error;
      throw error;
    }
  }

  async #given(found: Case, evidence: Evidence): Promise<Given> {
    const policy = this.policies.inForce(CASES_POLICY).body;
    const fault = evidenceFault(evidence, policy);
    if (fault !== null) throw new ProbityError(fault.code, fault.detail);
    const { kind, id, ref } = evidence;
    if (ref !== undefined) {
      const bytes = await this.objects.read(ref, { bytesMax: policy.evidence.bytes_max });
      return { bytes, digest: ref.digest.hex, mediaType: ref.media_type };
    }
    if (kind === 'EXTERNAL_REF' || kind === 'DLA_AUDIT_RECORD')
      throw new ProbityError('CASE_EVIDENCE_ELSEWHERE', `${kind} ${id} is not kept here`);
    const record = (await this.records.find(found.pins.run_id, [id])).get(id);
    if (record === undefined || differingPins(record.event.pins, found.pins).length > 0)
      throw new ProbityError(
        'CASE_EVIDENCE_UNAVAILABLE',
        'nothing of this id stands on the bus in the run of the case',
      );
    const { event, receipt, value } = record;
    if (payloadHash(event.envelope) !== receipt.payload_hash)
      throw new ProbityError('CASE_EVIDENCE_TAMPERED', `the payload of ${id} has another digest than its receipt says`);
    return { bytes: value, digest: digestBytes(value), mediaType: 'application/json' };
  }
}
