import { Module } from '@nestjs/common';
import { Evidence } from './evidence.js';
import { AdmissionGate } from './ingestion-gate.admission.js';
import { Gate } from './ingestion-gate.gate.js';
import { IngestionGateService } from './ingestion-gate.service.js';
import { LedgerStore } from './ledger/ledger.store.js';
import { ReservationHolds } from './ledger/reservation-holds.js';
import { ReceiptsStore } from './ledger/receipts.store.js';
import { Reconciler } from './reconciliation.js';
import { INGESTION_GATE_CONTROLLERS } from './http/controllers.js';

@Module({
  controllers: [...INGESTION_GATE_CONTROLLERS],
  providers: [
    LedgerStore,
    ReceiptsStore,
    ReservationHolds,
    Evidence,
    Reconciler,
    AdmissionGate,
    { provide: Gate, useExisting: AdmissionGate },
    IngestionGateService,
  ],
  exports: [IngestionGateService],
})
export class IngestionGateModule {}
