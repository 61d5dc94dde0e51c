import { Controller, Get, Header } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import { RequirePermission } from '../../substrate/http/principal.js';

/** Gives this application's metrics as text; provided by the boot, which holds the SDK. */
export abstract class MetricsText {
  abstract render(): Promise<string>;
}

@ApiTags('metrics')
@Controller('metrics')
@RequirePermission('metrics.read')
export class MetricsController {
  constructor(private readonly metrics: MetricsText) {}

  @Get()
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  @ApiOperation({ summary: 'Metrics of this process in the Prometheus text format' })
  @ApiProduces('text/plain')
  @ApiOkResponse({ description: 'Prometheus text format 0.0.4' })
  async read(): Promise<string> {
    return await this.metrics.render();
  }
}
