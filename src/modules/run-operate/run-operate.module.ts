import { Module } from '@nestjs/common';
import { ArchiveController } from './archive/archive.controller.js';
import { ArchiveService } from './archive/archive.service.js';
import { ArchiveSignals } from './archive/archive.signals.js';
import { ArchiveStore } from './archive/archive.store.js';
import { ArchiveVerificationService } from './archive/archive-verification.service.js';
import { ArchiveWriter } from './archive/archive.writer.js';
import { Leases } from './leases.js';
import { RunOperateController } from './run-operate.controller.js';
import { RunOperateService } from './run-operate.service.js';
import { RunOperateStore } from './run-operate.store.js';

@Module({
  controllers: [RunOperateController, ArchiveController],
  providers: [
    RunOperateService,
    RunOperateStore,
    Leases,
    ArchiveService,
    ArchiveSignals,
    ArchiveStore,
    ArchiveVerificationService,
    ArchiveWriter,
  ],
  exports: [ArchiveService],
})
export class RunOperateModule {}
