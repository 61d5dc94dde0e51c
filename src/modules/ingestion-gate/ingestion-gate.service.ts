import { Injectable } from '@nestjs/common';
import { type Static } from '@sinclair/typebox';
import { type CallContext } from '../../substrate/rpc/rpc.port.js';
import { AdmissionGate } from './ingestion-gate.admission.js';
import {
  IngestionGatePort,
  type ReceiptsQuery,
  type ReceiptsResponse,
  type ReconcileRequest,
  type Reconciliation,
  type SubmitRequest,
  type SubmitResponse,
} from './ingestion-gate.port.js';
import { resultOf } from './receipts.core.js';

/** The gate as other units call it. */
@Injectable()
export class IngestionGateService extends IngestionGatePort {
  constructor(private readonly gate: AdmissionGate) {
    super();
  }

  async submit(
    { events, supersedes_ref: supersedes }: Static<typeof SubmitRequest>,
    { caller, trace, signal }: CallContext,
  ): Promise<Static<typeof SubmitResponse>> {
    const submissions = events.map((text) => (supersedes === undefined ? { text } : { text, supersedes }));
    const receipts = await this.gate.admit(submissions, { principal: caller, trace, signal });
    return { results: receipts.map(resultOf) as Static<typeof SubmitResponse>['results'] };
  }

  async receipts({ event_ids, run_id }: Static<typeof ReceiptsQuery>): Promise<Static<typeof ReceiptsResponse>> {
    const receipts = await this.gate.receiptsOfEvents(event_ids, run_id);
    return { receipts: receipts as Static<typeof ReceiptsResponse>['receipts'] };
  }

  async reconcile({ run_id }: Static<typeof ReconcileRequest>): Promise<Reconciliation> {
    return await this.gate.reconcile(run_id);
  }
}
