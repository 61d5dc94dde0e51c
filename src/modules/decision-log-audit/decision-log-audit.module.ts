import { Module } from '@nestjs/common';
import { AuditObjects } from './audit-objects.js';
import { AuditSignals } from './audit.signals.js';
import { AuditVerificationService } from './audit-verification.service.js';
import { AuditWriter } from './audit.writer.js';
import { DecisionLogAuditConsumer } from './decision-log-audit.consumer.js';
import { DecisionLogAuditController } from './decision-log-audit.controller.js';
import { DecisionLogAuditService } from './decision-log-audit.service.js';
import { DecisionLogAuditStore } from './decision-log-audit.store.js';

@Module({
  controllers: [DecisionLogAuditController, DecisionLogAuditConsumer],
  providers: [
    DecisionLogAuditStore,
    DecisionLogAuditService,
    AuditObjects,
    AuditSignals,
    AuditWriter,
    AuditVerificationService,
  ],
  exports: [DecisionLogAuditService],
})
export class DecisionLogAuditModule {}
