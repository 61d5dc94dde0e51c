import type { LoggerService } from '@nestjs/common';
import type { Logger } from '../substrate/telemetry/telemetry.port.js';

/** Nest's own remarks, as lines of our log: its greetings are noise, its warnings are not. */
export class NestLog implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, context?: unknown): void {
    this.logger.debug('nest', { message: String(message), context: String(context) });
  }

  warn(message: unknown, context?: unknown): void {
    this.logger.warn('nest', { message: String(message), context: String(context) });
  }

  error(message: unknown, stack?: unknown, context?: unknown): void {
    this.logger.error('nest', { message: String(message), stack: String(stack), context: String(context) });
  }

  fatal(message: unknown, context?: unknown): void {
    this.logger.error('nest', { message: String(message), context: String(context) });
  }

  debug(): void {
    // Below what an operator of the platform wants to know.
  }

  verbose(): void {
    // Likewise.
  }
}
