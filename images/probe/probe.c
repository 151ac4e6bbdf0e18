/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Headers that modules include: what these define is what a module can see. Those that a kernel does not
 * have are left out.
 */
#if __has_include(<linux/acpi.h>)
#include <linux/acpi.h>
#endif
#if __has_include(<linux/acpi_iort.h>)
#include <linux/acpi_iort.h>
#endif
#if __has_include(<linux/adb.h>)
#include <linux/adb.h>
#endif
#if __has_include(<linux/aer.h>)
#include <linux/aer.h>
#endif
#if __has_include(<linux/agp_backend.h>)
#include <linux/agp_backend.h>
#endif
#if __has_include(<linux/ahci_platform.h>)
#include <linux/ahci_platform.h>
#endif
#if __has_include(<linux/amba/bus.h>)
#include <linux/amba/bus.h>
#endif
#if __has_include(<linux/anon_inodes.h>)
#include <linux/anon_inodes.h>
#endif
#if __has_include(<linux/aperture.h>)
#include <linux/aperture.h>
#endif
#if __has_include(<linux/arm-smccc.h>)
#include <linux/arm-smccc.h>
#endif
#if __has_include(<linux/async.h>)
#include <linux/async.h>
#endif
#if __has_include(<linux/ata.h>)
#include <linux/ata.h>
#endif
#if __has_include(<linux/atm.h>)
#include <linux/atm.h>
#endif
#if __has_include(<linux/atmdev.h>)
#include <linux/atmdev.h>
#endif
#if __has_include(<linux/atomic.h>)
#include <linux/atomic.h>
#endif
#if __has_include(<linux/audit.h>)
#include <linux/audit.h>
#endif
#if __has_include(<linux/auxiliary_bus.h>)
#include <linux/auxiliary_bus.h>
#endif
#if __has_include(<linux/backing-dev.h>)
#include <linux/backing-dev.h>
#endif
#if __has_include(<linux/backlight.h>)
#include <linux/backlight.h>
#endif
#if __has_include(<linux/bcd.h>)
#include <linux/bcd.h>
#endif
#if __has_include(<linux/bcma/bcma.h>)
#include <linux/bcma/bcma.h>
#endif
#if __has_include(<linux/bio.h>)
#include <linux/bio.h>
#endif
#if __has_include(<linux/bitfield.h>)
#include <linux/bitfield.h>
#endif
#if __has_include(<linux/bitmap.h>)
#include <linux/bitmap.h>
#endif
#if __has_include(<linux/bitops.h>)
#include <linux/bitops.h>
#endif
#if __has_include(<linux/bitrev.h>)
#include <linux/bitrev.h>
#endif
#if __has_include(<linux/bits.h>)
#include <linux/bits.h>
#endif
#if __has_include(<linux/blk-integrity.h>)
#include <linux/blk-integrity.h>
#endif
#if __has_include(<linux/blk-mq.h>)
#include <linux/blk-mq.h>
#endif
#if __has_include(<linux/blkdev.h>)
#include <linux/blkdev.h>
#endif
#if __has_include(<linux/blkpg.h>)
#include <linux/blkpg.h>
#endif
#if __has_include(<linux/bpf.h>)
#include <linux/bpf.h>
#endif
#if __has_include(<linux/bpf_trace.h>)
#include <linux/bpf_trace.h>
#endif
#if __has_include(<linux/bsearch.h>)
#include <linux/bsearch.h>
#endif
#if __has_include(<linux/btf_ids.h>)
#include <linux/btf_ids.h>
#endif
#if __has_include(<linux/buffer_head.h>)
#include <linux/buffer_head.h>
#endif
#if __has_include(<linux/bug.h>)
#include <linux/bug.h>
#endif
#if __has_include(<linux/build_bug.h>)
#include <linux/build_bug.h>
#endif
#if __has_include(<linux/byteorder/generic.h>)
#include <linux/byteorder/generic.h>
#endif
#if __has_include(<linux/cache.h>)
#include <linux/cache.h>
#endif
#if __has_include(<linux/can.h>)
#include <linux/can.h>
#endif
#if __has_include(<linux/can/dev.h>)
#include <linux/can/dev.h>
#endif
#if __has_include(<linux/can/error.h>)
#include <linux/can/error.h>
#endif
#if __has_include(<linux/capability.h>)
#include <linux/capability.h>
#endif
#if __has_include(<linux/cdev.h>)
#include <linux/cdev.h>
#endif
#if __has_include(<linux/cdrom.h>)
#include <linux/cdrom.h>
#endif
#if __has_include(<linux/ceph/decode.h>)
#include <linux/ceph/decode.h>
#endif
#if __has_include(<linux/circ_buf.h>)
#include <linux/circ_buf.h>
#endif
#if __has_include(<linux/cleanup.h>)
#include <linux/cleanup.h>
#endif
#if __has_include(<linux/clk-provider.h>)
#include <linux/clk-provider.h>
#endif
#if __has_include(<linux/clk.h>)
#include <linux/clk.h>
#endif
#if __has_include(<linux/clk/at91_pmc.h>)
#include <linux/clk/at91_pmc.h>
#endif
#if __has_include(<linux/clk/renesas.h>)
#include <linux/clk/renesas.h>
#endif
#if __has_include(<linux/clk/tegra.h>)
#include <linux/clk/tegra.h>
#endif
#if __has_include(<linux/clk/ti.h>)
#include <linux/clk/ti.h>
#endif
#if __has_include(<linux/clkdev.h>)
#include <linux/clkdev.h>
#endif
#if __has_include(<linux/clockchips.h>)
#include <linux/clockchips.h>
#endif
#if __has_include(<linux/clocksource.h>)
#include <linux/clocksource.h>
#endif
#if __has_include(<linux/comedi/comedi_8254.h>)
#include <linux/comedi/comedi_8254.h>
#endif
#if __has_include(<linux/comedi/comedi_8255.h>)
#include <linux/comedi/comedi_8255.h>
#endif
#if __has_include(<linux/comedi/comedi_pci.h>)
#include <linux/comedi/comedi_pci.h>
#endif
#if __has_include(<linux/comedi/comedidev.h>)
#include <linux/comedi/comedidev.h>
#endif
#if __has_include(<linux/compat.h>)
#include <linux/compat.h>
#endif
#if __has_include(<linux/compiler.h>)
#include <linux/compiler.h>
#endif
#if __has_include(<linux/completion.h>)
#include <linux/completion.h>
#endif
#if __has_include(<linux/component.h>)
#include <linux/component.h>
#endif
#if __has_include(<linux/configfs.h>)
#include <linux/configfs.h>
#endif
#if __has_include(<linux/console.h>)
#include <linux/console.h>
#endif
#if __has_include(<linux/container_of.h>)
#include <linux/container_of.h>
#endif
#if __has_include(<linux/coresight.h>)
#include <linux/coresight.h>
#endif
#if __has_include(<linux/cpu.h>)
#include <linux/cpu.h>
#endif
#if __has_include(<linux/cpu_pm.h>)
#include <linux/cpu_pm.h>
#endif
#if __has_include(<linux/cpu_rmap.h>)
#include <linux/cpu_rmap.h>
#endif
#if __has_include(<linux/cpufreq.h>)
#include <linux/cpufreq.h>
#endif
#if __has_include(<linux/cpuhotplug.h>)
#include <linux/cpuhotplug.h>
#endif
#if __has_include(<linux/cpuidle.h>)
#include <linux/cpuidle.h>
#endif
#if __has_include(<linux/cpumask.h>)
#include <linux/cpumask.h>
#endif
#if __has_include(<linux/crash_dump.h>)
#include <linux/crash_dump.h>
#endif
#if __has_include(<linux/crc-ccitt.h>)
#include <linux/crc-ccitt.h>
#endif
#if __has_include(<linux/crc-itu-t.h>)
#include <linux/crc-itu-t.h>
#endif
#if __has_include(<linux/crc16.h>)
#include <linux/crc16.h>
#endif
#if __has_include(<linux/crc32.h>)
#include <linux/crc32.h>
#endif
#if __has_include(<linux/crc32c.h>)
#include <linux/crc32c.h>
#endif
#if __has_include(<linux/crc8.h>)
#include <linux/crc8.h>
#endif
#if __has_include(<linux/cred.h>)
#include <linux/cred.h>
#endif
#if __has_include(<linux/crypto.h>)
#include <linux/crypto.h>
#endif
#if __has_include(<linux/ctype.h>)
#include <linux/ctype.h>
#endif
#if __has_include(<linux/dax.h>)
#include <linux/dax.h>
#endif
#if __has_include(<linux/dcache.h>)
#include <linux/dcache.h>
#endif
#if __has_include(<linux/dccp.h>)
#include <linux/dccp.h>
#endif
#if __has_include(<linux/debugfs.h>)
#include <linux/debugfs.h>
#endif
#if __has_include(<linux/delay.h>)
#include <linux/delay.h>
#endif
#if __has_include(<linux/dev_printk.h>)
#include <linux/dev_printk.h>
#endif
#if __has_include(<linux/devcoredump.h>)
#include <linux/devcoredump.h>
#endif
#if __has_include(<linux/devfreq.h>)
#include <linux/devfreq.h>
#endif
#if __has_include(<linux/device-mapper.h>)
#include <linux/device-mapper.h>
#endif
#if __has_include(<linux/device.h>)
#include <linux/device.h>
#endif
#if __has_include(<linux/devm-helpers.h>)
#include <linux/devm-helpers.h>
#endif
#if __has_include(<linux/dim.h>)
#include <linux/dim.h>
#endif
#if __has_include(<linux/dma-buf.h>)
#include <linux/dma-buf.h>
#endif
#if __has_include(<linux/dma-direction.h>)
#include <linux/dma-direction.h>
#endif
#if __has_include(<linux/dma-fence-array.h>)
#include <linux/dma-fence-array.h>
#endif
#if __has_include(<linux/dma-fence.h>)
#include <linux/dma-fence.h>
#endif
#if __has_include(<linux/dma-map-ops.h>)
#include <linux/dma-map-ops.h>
#endif
#if __has_include(<linux/dma-mapping.h>)
#include <linux/dma-mapping.h>
#endif
#if __has_include(<linux/dma-resv.h>)
#include <linux/dma-resv.h>
#endif
#if __has_include(<linux/dma/imx-dma.h>)
#include <linux/dma/imx-dma.h>
#endif
#if __has_include(<linux/dmaengine.h>)
#include <linux/dmaengine.h>
#endif
#if __has_include(<linux/dmapool.h>)
#include <linux/dmapool.h>
#endif
#if __has_include(<linux/dmi.h>)
#include <linux/dmi.h>
#endif
#if __has_include(<linux/dvb/frontend.h>)
#include <linux/dvb/frontend.h>
#endif
#if __has_include(<linux/edac.h>)
#include <linux/edac.h>
#endif
#if __has_include(<linux/efi.h>)
#include <linux/efi.h>
#endif
#if __has_include(<linux/err.h>)
#include <linux/err.h>
#endif
#if __has_include(<linux/errno.h>)
#include <linux/errno.h>
#endif
#if __has_include(<linux/errqueue.h>)
#include <linux/errqueue.h>
#endif
#if __has_include(<linux/etherdevice.h>)
#include <linux/etherdevice.h>
#endif
#if __has_include(<linux/ethtool.h>)
#include <linux/ethtool.h>
#endif
#if __has_include(<linux/ethtool_netlink.h>)
#include <linux/ethtool_netlink.h>
#endif
#if __has_include(<linux/eventfd.h>)
#include <linux/eventfd.h>
#endif
#if __has_include(<linux/export.h>)
#include <linux/export.h>
#endif
#if __has_include(<linux/exportfs.h>)
#include <linux/exportfs.h>
#endif
#if __has_include(<linux/extcon-provider.h>)
#include <linux/extcon-provider.h>
#endif
#if __has_include(<linux/extcon.h>)
#include <linux/extcon.h>
#endif
#if __has_include(<linux/f2fs_fs.h>)
#include <linux/f2fs_fs.h>
#endif
#if __has_include(<linux/falloc.h>)
#include <linux/falloc.h>
#endif
#if __has_include(<linux/fault-inject.h>)
#include <linux/fault-inject.h>
#endif
#if __has_include(<linux/fb.h>)
#include <linux/fb.h>
#endif
#if __has_include(<linux/fcntl.h>)
#include <linux/fcntl.h>
#endif
#if __has_include(<linux/fdtable.h>)
#include <linux/fdtable.h>
#endif
#if __has_include(<linux/fiemap.h>)
#include <linux/fiemap.h>
#endif
#if __has_include(<linux/file.h>)
#include <linux/file.h>
#endif
#if __has_include(<linux/fileattr.h>)
#include <linux/fileattr.h>
#endif
#if __has_include(<linux/filter.h>)
#include <linux/filter.h>
#endif
#if __has_include(<linux/fips.h>)
#include <linux/fips.h>
#endif
#if __has_include(<linux/firewire-constants.h>)
#include <linux/firewire-constants.h>
#endif
#if __has_include(<linux/firewire.h>)
#include <linux/firewire.h>
#endif
#if __has_include(<linux/firmware.h>)
#include <linux/firmware.h>
#endif
#if __has_include(<linux/firmware/imx/sci.h>)
#include <linux/firmware/imx/sci.h>
#endif
#if __has_include(<linux/firmware/xlnx-zynqmp.h>)
#include <linux/firmware/xlnx-zynqmp.h>
#endif
#if __has_include(<linux/font.h>)
#include <linux/font.h>
#endif
#if __has_include(<linux/fpga/fpga-mgr.h>)
#include <linux/fpga/fpga-mgr.h>
#endif
#if __has_include(<linux/fprobe.h>)
#include <linux/fprobe.h>
#endif
#if __has_include(<linux/freezer.h>)
#include <linux/freezer.h>
#endif
#if __has_include(<linux/fs.h>)
#include <linux/fs.h>
#endif
#if __has_include(<linux/fs_context.h>)
#include <linux/fs_context.h>
#endif
#if __has_include(<linux/fs_parser.h>)
#include <linux/fs_parser.h>
#endif
#if __has_include(<linux/fs_struct.h>)
#include <linux/fs_struct.h>
#endif
#if __has_include(<linux/fsl/mc.h>)
#include <linux/fsl/mc.h>
#endif
#if __has_include(<linux/fsnotify.h>)
#include <linux/fsnotify.h>
#endif
#if __has_include(<linux/gameport.h>)
#include <linux/gameport.h>
#endif
#if __has_include(<linux/gcd.h>)
#include <linux/gcd.h>
#endif
#if __has_include(<linux/genalloc.h>)
#include <linux/genalloc.h>
#endif
#if __has_include(<linux/gfp.h>)
#include <linux/gfp.h>
#endif
#if __has_include(<linux/gfs2_ondisk.h>)
#include <linux/gfs2_ondisk.h>
#endif
#if __has_include(<linux/gpio.h>)
#include <linux/gpio.h>
#endif
#if __has_include(<linux/gpio/consumer.h>)
#include <linux/gpio/consumer.h>
#endif
#if __has_include(<linux/gpio/driver.h>)
#include <linux/gpio/driver.h>
#endif
#if __has_include(<linux/gpio/machine.h>)
#include <linux/gpio/machine.h>
#endif
#if __has_include(<linux/greybus.h>)
#include <linux/greybus.h>
#endif
#if __has_include(<linux/hardirq.h>)
#include <linux/hardirq.h>
#endif
#if __has_include(<linux/hash.h>)
#include <linux/hash.h>
#endif
#if __has_include(<linux/hashtable.h>)
#include <linux/hashtable.h>
#endif
#if __has_include(<linux/hdlc.h>)
#include <linux/hdlc.h>
#endif
#if __has_include(<linux/hdmi.h>)
#include <linux/hdmi.h>
#endif
#if __has_include(<linux/hdreg.h>)
#include <linux/hdreg.h>
#endif
#if __has_include(<linux/hid-sensor-hub.h>)
#include <linux/hid-sensor-hub.h>
#endif
#if __has_include(<linux/hid.h>)
#include <linux/hid.h>
#endif
#if __has_include(<linux/highmem.h>)
#include <linux/highmem.h>
#endif
#if __has_include(<linux/host1x.h>)
#include <linux/host1x.h>
#endif
#if __has_include(<linux/hrtimer.h>)
#include <linux/hrtimer.h>
#endif
#if __has_include(<linux/hugetlb.h>)
#include <linux/hugetlb.h>
#endif
#if __has_include(<linux/hw_breakpoint.h>)
#include <linux/hw_breakpoint.h>
#endif
#if __has_include(<linux/hw_random.h>)
#include <linux/hw_random.h>
#endif
#if __has_include(<linux/hwmon-sysfs.h>)
#include <linux/hwmon-sysfs.h>
#endif
#if __has_include(<linux/hwmon-vid.h>)
#include <linux/hwmon-vid.h>
#endif
#if __has_include(<linux/hwmon.h>)
#include <linux/hwmon.h>
#endif
#if __has_include(<linux/hwspinlock.h>)
#include <linux/hwspinlock.h>
#endif
#if __has_include(<linux/i2c-algo-bit.h>)
#include <linux/i2c-algo-bit.h>
#endif
#if __has_include(<linux/i2c-mux.h>)
#include <linux/i2c-mux.h>
#endif
#if __has_include(<linux/i2c.h>)
#include <linux/i2c.h>
#endif
#if __has_include(<linux/icmp.h>)
#include <linux/icmp.h>
#endif
#if __has_include(<linux/icmpv6.h>)
#include <linux/icmpv6.h>
#endif
#if __has_include(<linux/idr.h>)
#include <linux/idr.h>
#endif
#if __has_include(<linux/ieee80211.h>)
#include <linux/ieee80211.h>
#endif
#if __has_include(<linux/if.h>)
#include <linux/if.h>
#endif
#if __has_include(<linux/if_arp.h>)
#include <linux/if_arp.h>
#endif
#if __has_include(<linux/if_bridge.h>)
#include <linux/if_bridge.h>
#endif
#if __has_include(<linux/if_ether.h>)
#include <linux/if_ether.h>
#endif
#if __has_include(<linux/if_vlan.h>)
#include <linux/if_vlan.h>
#endif
#if __has_include(<linux/igmp.h>)
#include <linux/igmp.h>
#endif
#if __has_include(<linux/iio/buffer.h>)
#include <linux/iio/buffer.h>
#endif
#if __has_include(<linux/iio/common/st_sensors.h>)
#include <linux/iio/common/st_sensors.h>
#endif
#if __has_include(<linux/iio/consumer.h>)
#include <linux/iio/consumer.h>
#endif
#if __has_include(<linux/iio/driver.h>)
#include <linux/iio/driver.h>
#endif
#if __has_include(<linux/iio/events.h>)
#include <linux/iio/events.h>
#endif
#if __has_include(<linux/iio/iio.h>)
#include <linux/iio/iio.h>
#endif
#if __has_include(<linux/iio/kfifo_buf.h>)
#include <linux/iio/kfifo_buf.h>
#endif
#if __has_include(<linux/iio/sysfs.h>)
#include <linux/iio/sysfs.h>
#endif
#if __has_include(<linux/iio/trigger.h>)
#include <linux/iio/trigger.h>
#endif
#if __has_include(<linux/iio/trigger_consumer.h>)
#include <linux/iio/trigger_consumer.h>
#endif
#if __has_include(<linux/iio/triggered_buffer.h>)
#include <linux/iio/triggered_buffer.h>
#endif
#if __has_include(<linux/iio/types.h>)
#include <linux/iio/types.h>
#endif
#if __has_include(<linux/in.h>)
#include <linux/in.h>
#endif
#if __has_include(<linux/in6.h>)
#include <linux/in6.h>
#endif
#if __has_include(<linux/indirect_call_wrapper.h>)
#include <linux/indirect_call_wrapper.h>
#endif
#if __has_include(<linux/inet.h>)
#include <linux/inet.h>
#endif
#if __has_include(<linux/inet_diag.h>)
#include <linux/inet_diag.h>
#endif
#if __has_include(<linux/inetdevice.h>)
#include <linux/inetdevice.h>
#endif
#if __has_include(<linux/init.h>)
#include <linux/init.h>
#endif
#if __has_include(<linux/input.h>)
#include <linux/input.h>
#endif
#if __has_include(<linux/input/matrix_keypad.h>)
#include <linux/input/matrix_keypad.h>
#endif
#if __has_include(<linux/input/mt.h>)
#include <linux/input/mt.h>
#endif
#if __has_include(<linux/input/sparse-keymap.h>)
#include <linux/input/sparse-keymap.h>
#endif
#if __has_include(<linux/input/touchscreen.h>)
#include <linux/input/touchscreen.h>
#endif
#if __has_include(<linux/interconnect-provider.h>)
#include <linux/interconnect-provider.h>
#endif
#if __has_include(<linux/interconnect.h>)
#include <linux/interconnect.h>
#endif
#if __has_include(<linux/interrupt.h>)
#include <linux/interrupt.h>
#endif
#if __has_include(<linux/io-64-nonatomic-hi-lo.h>)
#include <linux/io-64-nonatomic-hi-lo.h>
#endif
#if __has_include(<linux/io-64-nonatomic-lo-hi.h>)
#include <linux/io-64-nonatomic-lo-hi.h>
#endif
#if __has_include(<linux/io-mapping.h>)
#include <linux/io-mapping.h>
#endif
#if __has_include(<linux/io-pgtable.h>)
#include <linux/io-pgtable.h>
#endif
#if __has_include(<linux/io.h>)
#include <linux/io.h>
#endif
#if __has_include(<linux/ioctl.h>)
#include <linux/ioctl.h>
#endif
#if __has_include(<linux/iomap.h>)
#include <linux/iomap.h>
#endif
#if __has_include(<linux/iommu.h>)
#include <linux/iommu.h>
#endif
#if __has_include(<linux/iopoll.h>)
#include <linux/iopoll.h>
#endif
#if __has_include(<linux/ioport.h>)
#include <linux/ioport.h>
#endif
#if __has_include(<linux/iosys-map.h>)
#include <linux/iosys-map.h>
#endif
#if __has_include(<linux/ip.h>)
#include <linux/ip.h>
#endif
#if __has_include(<linux/ipv6.h>)
#include <linux/ipv6.h>
#endif
#if __has_include(<linux/irq.h>)
#include <linux/irq.h>
#endif
#if __has_include(<linux/irq_work.h>)
#include <linux/irq_work.h>
#endif
#if __has_include(<linux/irqchip.h>)
#include <linux/irqchip.h>
#endif
#if __has_include(<linux/irqchip/chained_irq.h>)
#include <linux/irqchip/chained_irq.h>
#endif
#if __has_include(<linux/irqdesc.h>)
#include <linux/irqdesc.h>
#endif
#if __has_include(<linux/irqdomain.h>)
#include <linux/irqdomain.h>
#endif
#if __has_include(<linux/irqreturn.h>)
#include <linux/irqreturn.h>
#endif
#if __has_include(<linux/isa.h>)
#include <linux/isa.h>
#endif
#if __has_include(<linux/isapnp.h>)
#include <linux/isapnp.h>
#endif
#if __has_include(<linux/iversion.h>)
#include <linux/iversion.h>
#endif
#if __has_include(<linux/jffs2.h>)
#include <linux/jffs2.h>
#endif
#if __has_include(<linux/jhash.h>)
#include <linux/jhash.h>
#endif
#if __has_include(<linux/jiffies.h>)
#include <linux/jiffies.h>
#endif
#if __has_include(<linux/kallsyms.h>)
#include <linux/kallsyms.h>
#endif
#if __has_include(<linux/kconfig.h>)
#include <linux/kconfig.h>
#endif
#if __has_include(<linux/kdev_t.h>)
#include <linux/kdev_t.h>
#endif
#if __has_include(<linux/kernel.h>)
#include <linux/kernel.h>
#endif
#if __has_include(<linux/kernel_stat.h>)
#include <linux/kernel_stat.h>
#endif
#if __has_include(<linux/key.h>)
#include <linux/key.h>
#endif
#if __has_include(<linux/kfifo.h>)
#include <linux/kfifo.h>
#endif
#if __has_include(<linux/kmemleak.h>)
#include <linux/kmemleak.h>
#endif
#if __has_include(<linux/kmod.h>)
#include <linux/kmod.h>
#endif
#if __has_include(<linux/kobject.h>)
#include <linux/kobject.h>
#endif
#if __has_include(<linux/kref.h>)
#include <linux/kref.h>
#endif
#if __has_include(<linux/kthread.h>)
#include <linux/kthread.h>
#endif
#if __has_include(<linux/ktime.h>)
#include <linux/ktime.h>
#endif
#if __has_include(<linux/lcd.h>)
#include <linux/lcd.h>
#endif
#if __has_include(<linux/leds.h>)
#include <linux/leds.h>
#endif
#if __has_include(<linux/libata.h>)
#include <linux/libata.h>
#endif
#if __has_include(<linux/libps2.h>)
#include <linux/libps2.h>
#endif
#if __has_include(<linux/limits.h>)
#include <linux/limits.h>
#endif
#if __has_include(<linux/linkage.h>)
#include <linux/linkage.h>
#endif
#if __has_include(<linux/list.h>)
#include <linux/list.h>
#endif
#if __has_include(<linux/list_sort.h>)
#include <linux/list_sort.h>
#endif
#if __has_include(<linux/livepatch.h>)
#include <linux/livepatch.h>
#endif
#if __has_include(<linux/llist.h>)
#include <linux/llist.h>
#endif
#if __has_include(<linux/lockd/lockd.h>)
#include <linux/lockd/lockd.h>
#endif
#if __has_include(<linux/lockdep.h>)
#include <linux/lockdep.h>
#endif
#if __has_include(<linux/log2.h>)
#include <linux/log2.h>
#endif
#if __has_include(<linux/mISDNif.h>)
#include <linux/mISDNif.h>
#endif
#if __has_include(<linux/magic.h>)
#include <linux/magic.h>
#endif
#if __has_include(<linux/mailbox_client.h>)
#include <linux/mailbox_client.h>
#endif
#if __has_include(<linux/mailbox_controller.h>)
#include <linux/mailbox_controller.h>
#endif
#if __has_include(<linux/major.h>)
#include <linux/major.h>
#endif
#if __has_include(<linux/math.h>)
#include <linux/math.h>
#endif
#if __has_include(<linux/math64.h>)
#include <linux/math64.h>
#endif
#if __has_include(<linux/mbus.h>)
#include <linux/mbus.h>
#endif
#if __has_include(<linux/mdio.h>)
#include <linux/mdio.h>
#endif
#if __has_include(<linux/media-bus-format.h>)
#include <linux/media-bus-format.h>
#endif
#if __has_include(<linux/memblock.h>)
#include <linux/memblock.h>
#endif
#if __has_include(<linux/memory.h>)
#include <linux/memory.h>
#endif
#if __has_include(<linux/mempool.h>)
#include <linux/mempool.h>
#endif
#if __has_include(<linux/memremap.h>)
#include <linux/memremap.h>
#endif
#if __has_include(<linux/mfd/abx500.h>)
#include <linux/mfd/abx500.h>
#endif
#if __has_include(<linux/mfd/abx500/ab8500.h>)
#include <linux/mfd/abx500/ab8500.h>
#endif
#if __has_include(<linux/mfd/arizona/core.h>)
#include <linux/mfd/arizona/core.h>
#endif
#if __has_include(<linux/mfd/arizona/registers.h>)
#include <linux/mfd/arizona/registers.h>
#endif
#if __has_include(<linux/mfd/axp20x.h>)
#include <linux/mfd/axp20x.h>
#endif
#if __has_include(<linux/mfd/core.h>)
#include <linux/mfd/core.h>
#endif
#if __has_include(<linux/mfd/intel_soc_pmic.h>)
#include <linux/mfd/intel_soc_pmic.h>
#endif
#if __has_include(<linux/mfd/madera/core.h>)
#include <linux/mfd/madera/core.h>
#endif
#if __has_include(<linux/mfd/madera/registers.h>)
#include <linux/mfd/madera/registers.h>
#endif
#if __has_include(<linux/mfd/mt6397/core.h>)
#include <linux/mfd/mt6397/core.h>
#endif
#if __has_include(<linux/mfd/syscon.h>)
#include <linux/mfd/syscon.h>
#endif
#if __has_include(<linux/mfd/twl.h>)
#include <linux/mfd/twl.h>
#endif
#if __has_include(<linux/mfd/wm831x/core.h>)
#include <linux/mfd/wm831x/core.h>
#endif
#if __has_include(<linux/mii.h>)
#include <linux/mii.h>
#endif
#if __has_include(<linux/minmax.h>)
#include <linux/minmax.h>
#endif
#if __has_include(<linux/miscdevice.h>)
#include <linux/miscdevice.h>
#endif
#if __has_include(<linux/mlx4/cmd.h>)
#include <linux/mlx4/cmd.h>
#endif
#if __has_include(<linux/mlx5/driver.h>)
#include <linux/mlx5/driver.h>
#endif
#if __has_include(<linux/mlx5/fs.h>)
#include <linux/mlx5/fs.h>
#endif
#if __has_include(<linux/mlx5/vport.h>)
#include <linux/mlx5/vport.h>
#endif
#if __has_include(<linux/mm.h>)
#include <linux/mm.h>
#endif
#if __has_include(<linux/mm_types.h>)
#include <linux/mm_types.h>
#endif
#if __has_include(<linux/mman.h>)
#include <linux/mman.h>
#endif
#if __has_include(<linux/mmc/card.h>)
#include <linux/mmc/card.h>
#endif
#if __has_include(<linux/mmc/host.h>)
#include <linux/mmc/host.h>
#endif
#if __has_include(<linux/mmc/mmc.h>)
#include <linux/mmc/mmc.h>
#endif
#if __has_include(<linux/mmc/sd.h>)
#include <linux/mmc/sd.h>
#endif
#if __has_include(<linux/mmc/sdio.h>)
#include <linux/mmc/sdio.h>
#endif
#if __has_include(<linux/mmc/sdio_func.h>)
#include <linux/mmc/sdio_func.h>
#endif
#if __has_include(<linux/mmc/sdio_ids.h>)
#include <linux/mmc/sdio_ids.h>
#endif
#if __has_include(<linux/mmc/slot-gpio.h>)
#include <linux/mmc/slot-gpio.h>
#endif
#if __has_include(<linux/mmu_notifier.h>)
#include <linux/mmu_notifier.h>
#endif
#if __has_include(<linux/mmzone.h>)
#include <linux/mmzone.h>
#endif
#if __has_include(<linux/mod_devicetable.h>)
#include <linux/mod_devicetable.h>
#endif
#if __has_include(<linux/module.h>)
#include <linux/module.h>
#endif
#if __has_include(<linux/moduleparam.h>)
#include <linux/moduleparam.h>
#endif
#if __has_include(<linux/mount.h>)
#include <linux/mount.h>
#endif
#if __has_include(<linux/mpage.h>)
#include <linux/mpage.h>
#endif
#if __has_include(<linux/msi.h>)
#include <linux/msi.h>
#endif
#if __has_include(<linux/mtd/mtd.h>)
#include <linux/mtd/mtd.h>
#endif
#if __has_include(<linux/mtd/partitions.h>)
#include <linux/mtd/partitions.h>
#endif
#if __has_include(<linux/mtd/rawnand.h>)
#include <linux/mtd/rawnand.h>
#endif
#if __has_include(<linux/mtd/spi-nor.h>)
#include <linux/mtd/spi-nor.h>
#endif
#if __has_include(<linux/mutex.h>)
#include <linux/mutex.h>
#endif
#if __has_include(<linux/namei.h>)
#include <linux/namei.h>
#endif
#if __has_include(<linux/nd.h>)
#include <linux/nd.h>
#endif
#if __has_include(<linux/net.h>)
#include <linux/net.h>
#endif
#if __has_include(<linux/net_tstamp.h>)
#include <linux/net_tstamp.h>
#endif
#if __has_include(<linux/netdevice.h>)
#include <linux/netdevice.h>
#endif
#if __has_include(<linux/netfilter.h>)
#include <linux/netfilter.h>
#endif
#if __has_include(<linux/netfilter/ipset/ip_set.h>)
#include <linux/netfilter/ipset/ip_set.h>
#endif
#if __has_include(<linux/netfilter/nf_tables.h>)
#include <linux/netfilter/nf_tables.h>
#endif
#if __has_include(<linux/netfilter/nfnetlink.h>)
#include <linux/netfilter/nfnetlink.h>
#endif
#if __has_include(<linux/netfilter/x_tables.h>)
#include <linux/netfilter/x_tables.h>
#endif
#if __has_include(<linux/netfilter_bridge.h>)
#include <linux/netfilter_bridge.h>
#endif
#if __has_include(<linux/netfilter_bridge/ebtables.h>)
#include <linux/netfilter_bridge/ebtables.h>
#endif
#if __has_include(<linux/netfilter_ipv4.h>)
#include <linux/netfilter_ipv4.h>
#endif
#if __has_include(<linux/netfilter_ipv4/ip_tables.h>)
#include <linux/netfilter_ipv4/ip_tables.h>
#endif
#if __has_include(<linux/netfilter_ipv6.h>)
#include <linux/netfilter_ipv6.h>
#endif
#if __has_include(<linux/netfilter_ipv6/ip6_tables.h>)
#include <linux/netfilter_ipv6/ip6_tables.h>
#endif
#if __has_include(<linux/netlink.h>)
#include <linux/netlink.h>
#endif
#if __has_include(<linux/netpoll.h>)
#include <linux/netpoll.h>
#endif
#if __has_include(<linux/nfc.h>)
#include <linux/nfc.h>
#endif
#if __has_include(<linux/nfs.h>)
#include <linux/nfs.h>
#endif
#if __has_include(<linux/nfs4.h>)
#include <linux/nfs4.h>
#endif
#if __has_include(<linux/nfs_fs.h>)
#include <linux/nfs_fs.h>
#endif
#if __has_include(<linux/nfs_mount.h>)
#include <linux/nfs_mount.h>
#endif
#if __has_include(<linux/nl80211.h>)
#include <linux/nl80211.h>
#endif
#if __has_include(<linux/nls.h>)
#include <linux/nls.h>
#endif
#if __has_include(<linux/nmi.h>)
#include <linux/nmi.h>
#endif
#if __has_include(<linux/nospec.h>)
#include <linux/nospec.h>
#endif
#if __has_include(<linux/notifier.h>)
#include <linux/notifier.h>
#endif
#if __has_include(<linux/nsproxy.h>)
#include <linux/nsproxy.h>
#endif
#if __has_include(<linux/ntb.h>)
#include <linux/ntb.h>
#endif
#if __has_include(<linux/numa.h>)
#include <linux/numa.h>
#endif
#if __has_include(<linux/nvme.h>)
#include <linux/nvme.h>
#endif
#if __has_include(<linux/nvmem-consumer.h>)
#include <linux/nvmem-consumer.h>
#endif
#if __has_include(<linux/nvmem-provider.h>)
#include <linux/nvmem-provider.h>
#endif
#if __has_include(<linux/of.h>)
#include <linux/of.h>
#endif
#if __has_include(<linux/of_address.h>)
#include <linux/of_address.h>
#endif
#if __has_include(<linux/of_clk.h>)
#include <linux/of_clk.h>
#endif
#if __has_include(<linux/of_device.h>)
#include <linux/of_device.h>
#endif
#if __has_include(<linux/of_dma.h>)
#include <linux/of_dma.h>
#endif
#if __has_include(<linux/of_fdt.h>)
#include <linux/of_fdt.h>
#endif
#if __has_include(<linux/of_gpio.h>)
#include <linux/of_gpio.h>
#endif
#if __has_include(<linux/of_graph.h>)
#include <linux/of_graph.h>
#endif
#if __has_include(<linux/of_irq.h>)
#include <linux/of_irq.h>
#endif
#if __has_include(<linux/of_mdio.h>)
#include <linux/of_mdio.h>
#endif
#if __has_include(<linux/of_net.h>)
#include <linux/of_net.h>
#endif
#if __has_include(<linux/of_pci.h>)
#include <linux/of_pci.h>
#endif
#if __has_include(<linux/of_platform.h>)
#include <linux/of_platform.h>
#endif
#if __has_include(<linux/of_reserved_mem.h>)
#include <linux/of_reserved_mem.h>
#endif
#if __has_include(<linux/overflow.h>)
#include <linux/overflow.h>
#endif
#if __has_include(<linux/pagemap.h>)
#include <linux/pagemap.h>
#endif
#if __has_include(<linux/pagevec.h>)
#include <linux/pagevec.h>
#endif
#if __has_include(<linux/panic_notifier.h>)
#include <linux/panic_notifier.h>
#endif
#if __has_include(<linux/param.h>)
#include <linux/param.h>
#endif
#if __has_include(<linux/parport.h>)
#include <linux/parport.h>
#endif
#if __has_include(<linux/parser.h>)
#include <linux/parser.h>
#endif
#if __has_include(<linux/part_stat.h>)
#include <linux/part_stat.h>
#endif
#if __has_include(<linux/pci-acpi.h>)
#include <linux/pci-acpi.h>
#endif
#if __has_include(<linux/pci-ecam.h>)
#include <linux/pci-ecam.h>
#endif
#if __has_include(<linux/pci.h>)
#include <linux/pci.h>
#endif
#if __has_include(<linux/pci_hotplug.h>)
#include <linux/pci_hotplug.h>
#endif
#if __has_include(<linux/pci_ids.h>)
#include <linux/pci_ids.h>
#endif
#if __has_include(<linux/pci_regs.h>)
#include <linux/pci_regs.h>
#endif
#if __has_include(<linux/percpu.h>)
#include <linux/percpu.h>
#endif
#if __has_include(<linux/perf_event.h>)
#include <linux/perf_event.h>
#endif
#if __has_include(<linux/pfn_t.h>)
#include <linux/pfn_t.h>
#endif
#if __has_include(<linux/pgtable.h>)
#include <linux/pgtable.h>
#endif
#if __has_include(<linux/phy.h>)
#include <linux/phy.h>
#endif
#if __has_include(<linux/phy/phy.h>)
#include <linux/phy/phy.h>
#endif
#if __has_include(<linux/phy_fixed.h>)
#include <linux/phy_fixed.h>
#endif
#if __has_include(<linux/phylink.h>)
#include <linux/phylink.h>
#endif
#if __has_include(<linux/pid_namespace.h>)
#include <linux/pid_namespace.h>
#endif
#if __has_include(<linux/pinctrl/consumer.h>)
#include <linux/pinctrl/consumer.h>
#endif
#if __has_include(<linux/pinctrl/machine.h>)
#include <linux/pinctrl/machine.h>
#endif
#if __has_include(<linux/pinctrl/pinconf-generic.h>)
#include <linux/pinctrl/pinconf-generic.h>
#endif
#if __has_include(<linux/pinctrl/pinconf.h>)
#include <linux/pinctrl/pinconf.h>
#endif
#if __has_include(<linux/pinctrl/pinctrl.h>)
#include <linux/pinctrl/pinctrl.h>
#endif
#if __has_include(<linux/pinctrl/pinmux.h>)
#include <linux/pinctrl/pinmux.h>
#endif
#if __has_include(<linux/pkt_sched.h>)
#include <linux/pkt_sched.h>
#endif
#if __has_include(<linux/platform_data/cros_ec_commands.h>)
#include <linux/platform_data/cros_ec_commands.h>
#endif
#if __has_include(<linux/platform_data/cros_ec_proto.h>)
#include <linux/platform_data/cros_ec_proto.h>
#endif
#if __has_include(<linux/platform_device.h>)
#include <linux/platform_device.h>
#endif
#if __has_include(<linux/pm.h>)
#include <linux/pm.h>
#endif
#if __has_include(<linux/pm_clock.h>)
#include <linux/pm_clock.h>
#endif
#if __has_include(<linux/pm_domain.h>)
#include <linux/pm_domain.h>
#endif
#if __has_include(<linux/pm_opp.h>)
#include <linux/pm_opp.h>
#endif
#if __has_include(<linux/pm_qos.h>)
#include <linux/pm_qos.h>
#endif
#if __has_include(<linux/pm_runtime.h>)
#include <linux/pm_runtime.h>
#endif
#if __has_include(<linux/pm_wakeirq.h>)
#include <linux/pm_wakeirq.h>
#endif
#if __has_include(<linux/pmbus.h>)
#include <linux/pmbus.h>
#endif
#if __has_include(<linux/pmu.h>)
#include <linux/pmu.h>
#endif
#if __has_include(<linux/pnp.h>)
#include <linux/pnp.h>
#endif
#if __has_include(<linux/poll.h>)
#include <linux/poll.h>
#endif
#if __has_include(<linux/posix_acl.h>)
#include <linux/posix_acl.h>
#endif
#if __has_include(<linux/posix_acl_xattr.h>)
#include <linux/posix_acl_xattr.h>
#endif
#if __has_include(<linux/power_supply.h>)
#include <linux/power_supply.h>
#endif
#if __has_include(<linux/ppp_defs.h>)
#include <linux/ppp_defs.h>
#endif
#if __has_include(<linux/preempt.h>)
#include <linux/preempt.h>
#endif
#if __has_include(<linux/prefetch.h>)
#include <linux/prefetch.h>
#endif
#if __has_include(<linux/prime_numbers.h>)
#include <linux/prime_numbers.h>
#endif
#if __has_include(<linux/printk.h>)
#include <linux/printk.h>
#endif
#if __has_include(<linux/proc_fs.h>)
#include <linux/proc_fs.h>
#endif
#if __has_include(<linux/property.h>)
#include <linux/property.h>
#endif
#if __has_include(<linux/ptp_classify.h>)
#include <linux/ptp_classify.h>
#endif
#if __has_include(<linux/ptp_clock_kernel.h>)
#include <linux/ptp_clock_kernel.h>
#endif
#if __has_include(<linux/ptrace.h>)
#include <linux/ptrace.h>
#endif
#if __has_include(<linux/pwm.h>)
#include <linux/pwm.h>
#endif
#if __has_include(<linux/qcom_scm.h>)
#include <linux/qcom_scm.h>
#endif
#if __has_include(<linux/qed/qed_if.h>)
#include <linux/qed/qed_if.h>
#endif
#if __has_include(<linux/quotaops.h>)
#include <linux/quotaops.h>
#endif
#if __has_include(<linux/radix-tree.h>)
#include <linux/radix-tree.h>
#endif
#if __has_include(<linux/raid/pq.h>)
#include <linux/raid/pq.h>
#endif
#if __has_include(<linux/random.h>)
#include <linux/random.h>
#endif
#if __has_include(<linux/ratelimit.h>)
#include <linux/ratelimit.h>
#endif
#if __has_include(<linux/rational.h>)
#include <linux/rational.h>
#endif
#if __has_include(<linux/rbtree.h>)
#include <linux/rbtree.h>
#endif
#if __has_include(<linux/rculist.h>)
#include <linux/rculist.h>
#endif
#if __has_include(<linux/rcupdate.h>)
#include <linux/rcupdate.h>
#endif
#if __has_include(<linux/reboot.h>)
#include <linux/reboot.h>
#endif
#if __has_include(<linux/refcount.h>)
#include <linux/refcount.h>
#endif
#if __has_include(<linux/regmap.h>)
#include <linux/regmap.h>
#endif
#if __has_include(<linux/regulator/consumer.h>)
#include <linux/regulator/consumer.h>
#endif
#if __has_include(<linux/regulator/driver.h>)
#include <linux/regulator/driver.h>
#endif
#if __has_include(<linux/regulator/machine.h>)
#include <linux/regulator/machine.h>
#endif
#if __has_include(<linux/regulator/of_regulator.h>)
#include <linux/regulator/of_regulator.h>
#endif
#if __has_include(<linux/remoteproc.h>)
#include <linux/remoteproc.h>
#endif
#if __has_include(<linux/reset-controller.h>)
#include <linux/reset-controller.h>
#endif
#if __has_include(<linux/reset.h>)
#include <linux/reset.h>
#endif
#if __has_include(<linux/resource.h>)
#include <linux/resource.h>
#endif
#if __has_include(<linux/rfkill.h>)
#include <linux/rfkill.h>
#endif
#if __has_include(<linux/rhashtable.h>)
#include <linux/rhashtable.h>
#endif
#if __has_include(<linux/rmi.h>)
#include <linux/rmi.h>
#endif
#if __has_include(<linux/route.h>)
#include <linux/route.h>
#endif
#if __has_include(<linux/rpmsg.h>)
#include <linux/rpmsg.h>
#endif
#if __has_include(<linux/rtc.h>)
#include <linux/rtc.h>
#endif
#if __has_include(<linux/rtnetlink.h>)
#include <linux/rtnetlink.h>
#endif
#if __has_include(<linux/rwsem.h>)
#include <linux/rwsem.h>
#endif
#if __has_include(<linux/scatterlist.h>)
#include <linux/scatterlist.h>
#endif
#if __has_include(<linux/sched.h>)
#include <linux/sched.h>
#endif
#if __has_include(<linux/sched/clock.h>)
#include <linux/sched/clock.h>
#endif
#if __has_include(<linux/sched/mm.h>)
#include <linux/sched/mm.h>
#endif
#if __has_include(<linux/sched/signal.h>)
#include <linux/sched/signal.h>
#endif
#if __has_include(<linux/sched/task.h>)
#include <linux/sched/task.h>
#endif
#if __has_include(<linux/sched/task_stack.h>)
#include <linux/sched/task_stack.h>
#endif
#if __has_include(<linux/sched_clock.h>)
#include <linux/sched_clock.h>
#endif
#if __has_include(<linux/scmi_protocol.h>)
#include <linux/scmi_protocol.h>
#endif
#if __has_include(<linux/screen_info.h>)
#include <linux/screen_info.h>
#endif
#if __has_include(<linux/sctp.h>)
#include <linux/sctp.h>
#endif
#if __has_include(<linux/security.h>)
#include <linux/security.h>
#endif
#if __has_include(<linux/selection.h>)
#include <linux/selection.h>
#endif
#if __has_include(<linux/semaphore.h>)
#include <linux/semaphore.h>
#endif
#if __has_include(<linux/seq_file.h>)
#include <linux/seq_file.h>
#endif
#if __has_include(<linux/seqlock.h>)
#include <linux/seqlock.h>
#endif
#if __has_include(<linux/serdev.h>)
#include <linux/serdev.h>
#endif
#if __has_include(<linux/serial.h>)
#include <linux/serial.h>
#endif
#if __has_include(<linux/serial_8250.h>)
#include <linux/serial_8250.h>
#endif
#if __has_include(<linux/serial_core.h>)
#include <linux/serial_core.h>
#endif
#if __has_include(<linux/serial_reg.h>)
#include <linux/serial_reg.h>
#endif
#if __has_include(<linux/serio.h>)
#include <linux/serio.h>
#endif
#if __has_include(<linux/sfp.h>)
#include <linux/sfp.h>
#endif
#if __has_include(<linux/shmem_fs.h>)
#include <linux/shmem_fs.h>
#endif
#if __has_include(<linux/signal.h>)
#include <linux/signal.h>
#endif
#if __has_include(<linux/siphash.h>)
#include <linux/siphash.h>
#endif
#if __has_include(<linux/sizes.h>)
#include <linux/sizes.h>
#endif
#if __has_include(<linux/skbuff.h>)
#include <linux/skbuff.h>
#endif
#if __has_include(<linux/slab.h>)
#include <linux/slab.h>
#endif
#if __has_include(<linux/smp.h>)
#include <linux/smp.h>
#endif
#if __has_include(<linux/soc/mediatek/mtk-cmdq.h>)
#include <linux/soc/mediatek/mtk-cmdq.h>
#endif
#if __has_include(<linux/soc/qcom/smem.h>)
#include <linux/soc/qcom/smem.h>
#endif
#if __has_include(<linux/soc/renesas/rcar-rst.h>)
#include <linux/soc/renesas/rcar-rst.h>
#endif
#if __has_include(<linux/sock_diag.h>)
#include <linux/sock_diag.h>
#endif
#if __has_include(<linux/socket.h>)
#include <linux/socket.h>
#endif
#if __has_include(<linux/sockios.h>)
#include <linux/sockios.h>
#endif
#if __has_include(<linux/sort.h>)
#include <linux/sort.h>
#endif
#if __has_include(<linux/soundwire/sdw.h>)
#include <linux/soundwire/sdw.h>
#endif
#if __has_include(<linux/soundwire/sdw_registers.h>)
#include <linux/soundwire/sdw_registers.h>
#endif
#if __has_include(<linux/soundwire/sdw_type.h>)
#include <linux/soundwire/sdw_type.h>
#endif
#if __has_include(<linux/spi/spi-mem.h>)
#include <linux/spi/spi-mem.h>
#endif
#if __has_include(<linux/spi/spi.h>)
#include <linux/spi/spi.h>
#endif
#if __has_include(<linux/spi/spi_bitbang.h>)
#include <linux/spi/spi_bitbang.h>
#endif
#if __has_include(<linux/spinlock.h>)
#include <linux/spinlock.h>
#endif
#if __has_include(<linux/spinlock_types.h>)
#include <linux/spinlock_types.h>
#endif
#if __has_include(<linux/splice.h>)
#include <linux/splice.h>
#endif
#if __has_include(<linux/ssb/ssb.h>)
#include <linux/ssb/ssb.h>
#endif
#if __has_include(<linux/stat.h>)
#include <linux/stat.h>
#endif
#if __has_include(<linux/statfs.h>)
#include <linux/statfs.h>
#endif
#if __has_include(<linux/stdarg.h>)
#include <linux/stdarg.h>
#endif
#if __has_include(<linux/stddef.h>)
#include <linux/stddef.h>
#endif
#if __has_include(<linux/stmmac.h>)
#include <linux/stmmac.h>
#endif
#if __has_include(<linux/string.h>)
#include <linux/string.h>
#endif
#if __has_include(<linux/string_helpers.h>)
#include <linux/string_helpers.h>
#endif
#if __has_include(<linux/stringify.h>)
#include <linux/stringify.h>
#endif
#if __has_include(<linux/sunrpc/addr.h>)
#include <linux/sunrpc/addr.h>
#endif
#if __has_include(<linux/sunrpc/clnt.h>)
#include <linux/sunrpc/clnt.h>
#endif
#if __has_include(<linux/sunrpc/sched.h>)
#include <linux/sunrpc/sched.h>
#endif
#if __has_include(<linux/sunrpc/stats.h>)
#include <linux/sunrpc/stats.h>
#endif
#if __has_include(<linux/sunrpc/svc.h>)
#include <linux/sunrpc/svc.h>
#endif
#if __has_include(<linux/sunrpc/svc_xprt.h>)
#include <linux/sunrpc/svc_xprt.h>
#endif
#if __has_include(<linux/sunrpc/xdr.h>)
#include <linux/sunrpc/xdr.h>
#endif
#if __has_include(<linux/surface_aggregator/controller.h>)
#include <linux/surface_aggregator/controller.h>
#endif
#if __has_include(<linux/suspend.h>)
#include <linux/suspend.h>
#endif
#if __has_include(<linux/swab.h>)
#include <linux/swab.h>
#endif
#if __has_include(<linux/swap.h>)
#include <linux/swap.h>
#endif
#if __has_include(<linux/sync_file.h>)
#include <linux/sync_file.h>
#endif
#if __has_include(<linux/sys_soc.h>)
#include <linux/sys_soc.h>
#endif
#if __has_include(<linux/syscalls.h>)
#include <linux/syscalls.h>
#endif
#if __has_include(<linux/syscore_ops.h>)
#include <linux/syscore_ops.h>
#endif
#if __has_include(<linux/sysctl.h>)
#include <linux/sysctl.h>
#endif
#if __has_include(<linux/sysfs.h>)
#include <linux/sysfs.h>
#endif
#if __has_include(<linux/sysrq.h>)
#include <linux/sysrq.h>
#endif
#if __has_include(<linux/task_io_accounting_ops.h>)
#include <linux/task_io_accounting_ops.h>
#endif
#if __has_include(<linux/tcp.h>)
#include <linux/tcp.h>
#endif
#if __has_include(<linux/tee_drv.h>)
#include <linux/tee_drv.h>
#endif
#if __has_include(<linux/termios.h>)
#include <linux/termios.h>
#endif
#if __has_include(<linux/thermal.h>)
#include <linux/thermal.h>
#endif
#if __has_include(<linux/tick.h>)
#include <linux/tick.h>
#endif
#if __has_include(<linux/time.h>)
#include <linux/time.h>
#endif
#if __has_include(<linux/time64.h>)
#include <linux/time64.h>
#endif
#if __has_include(<linux/timecounter.h>)
#include <linux/timecounter.h>
#endif
#if __has_include(<linux/timekeeping.h>)
#include <linux/timekeeping.h>
#endif
#if __has_include(<linux/timer.h>)
#include <linux/timer.h>
#endif
#if __has_include(<linux/timex.h>)
#include <linux/timex.h>
#endif
#if __has_include(<linux/topology.h>)
#include <linux/topology.h>
#endif
#if __has_include(<linux/trace.h>)
#include <linux/trace.h>
#endif
#if __has_include(<linux/trace_seq.h>)
#include <linux/trace_seq.h>
#endif
#if __has_include(<linux/tracefs.h>)
#include <linux/tracefs.h>
#endif
#if __has_include(<linux/tracepoint.h>)
#include <linux/tracepoint.h>
#endif
#if __has_include(<linux/tty.h>)
#include <linux/tty.h>
#endif
#if __has_include(<linux/tty_driver.h>)
#include <linux/tty_driver.h>
#endif
#if __has_include(<linux/tty_flip.h>)
#include <linux/tty_flip.h>
#endif
#if __has_include(<linux/types.h>)
#include <linux/types.h>
#endif
#if __has_include(<linux/u64_stats_sync.h>)
#include <linux/u64_stats_sync.h>
#endif
#if __has_include(<linux/uaccess.h>)
#include <linux/uaccess.h>
#endif
#if __has_include(<linux/udp.h>)
#include <linux/udp.h>
#endif
#if __has_include(<linux/uio.h>)
#include <linux/uio.h>
#endif
#if __has_include(<linux/uio_driver.h>)
#include <linux/uio_driver.h>
#endif
#if __has_include(<linux/unicode.h>)
#include <linux/unicode.h>
#endif
#if __has_include(<linux/unistd.h>)
#include <linux/unistd.h>
#endif
#if __has_include(<linux/units.h>)
#include <linux/units.h>
#endif
#if __has_include(<linux/usb.h>)
#include <linux/usb.h>
#endif
#if __has_include(<linux/usb/audio.h>)
#include <linux/usb/audio.h>
#endif
#if __has_include(<linux/usb/cdc.h>)
#include <linux/usb/cdc.h>
#endif
#if __has_include(<linux/usb/ch9.h>)
#include <linux/usb/ch9.h>
#endif
#if __has_include(<linux/usb/composite.h>)
#include <linux/usb/composite.h>
#endif
#if __has_include(<linux/usb/gadget.h>)
#include <linux/usb/gadget.h>
#endif
#if __has_include(<linux/usb/hcd.h>)
#include <linux/usb/hcd.h>
#endif
#if __has_include(<linux/usb/input.h>)
#include <linux/usb/input.h>
#endif
#if __has_include(<linux/usb/of.h>)
#include <linux/usb/of.h>
#endif
#if __has_include(<linux/usb/otg.h>)
#include <linux/usb/otg.h>
#endif
#if __has_include(<linux/usb/phy.h>)
#include <linux/usb/phy.h>
#endif
#if __has_include(<linux/usb/role.h>)
#include <linux/usb/role.h>
#endif
#if __has_include(<linux/usb/usb_phy_generic.h>)
#include <linux/usb/usb_phy_generic.h>
#endif
#if __has_include(<linux/usb/usbnet.h>)
#include <linux/usb/usbnet.h>
#endif
#if __has_include(<linux/user_namespace.h>)
#include <linux/user_namespace.h>
#endif
#if __has_include(<linux/util_macros.h>)
#include <linux/util_macros.h>
#endif
#if __has_include(<linux/utsname.h>)
#include <linux/utsname.h>
#endif
#if __has_include(<linux/uuid.h>)
#include <linux/uuid.h>
#endif
#if __has_include(<linux/v4l2-dv-timings.h>)
#include <linux/v4l2-dv-timings.h>
#endif
#if __has_include(<linux/v4l2-mediabus.h>)
#include <linux/v4l2-mediabus.h>
#endif
#if __has_include(<linux/vdpa.h>)
#include <linux/vdpa.h>
#endif
#if __has_include(<linux/version.h>)
#include <linux/version.h>
#endif
#if __has_include(<linux/vfio.h>)
#include <linux/vfio.h>
#endif
#if __has_include(<linux/vfs.h>)
#include <linux/vfs.h>
#endif
#if __has_include(<linux/vga_switcheroo.h>)
#include <linux/vga_switcheroo.h>
#endif
#if __has_include(<linux/videodev2.h>)
#include <linux/videodev2.h>
#endif
#if __has_include(<linux/virtio.h>)
#include <linux/virtio.h>
#endif
#if __has_include(<linux/virtio_config.h>)
#include <linux/virtio_config.h>
#endif
#if __has_include(<linux/virtio_ring.h>)
#include <linux/virtio_ring.h>
#endif
#if __has_include(<linux/vmalloc.h>)
#include <linux/vmalloc.h>
#endif
#if __has_include(<linux/vmw_vmci_defs.h>)
#include <linux/vmw_vmci_defs.h>
#endif
#if __has_include(<linux/vt_kern.h>)
#include <linux/vt_kern.h>
#endif
#if __has_include(<linux/w1.h>)
#include <linux/w1.h>
#endif
#if __has_include(<linux/wait.h>)
#include <linux/wait.h>
#endif
#if __has_include(<linux/watchdog.h>)
#include <linux/watchdog.h>
#endif
#if __has_include(<linux/wireless.h>)
#include <linux/wireless.h>
#endif
#if __has_include(<linux/wmi.h>)
#include <linux/wmi.h>
#endif
#if __has_include(<linux/workqueue.h>)
#include <linux/workqueue.h>
#endif
#if __has_include(<linux/writeback.h>)
#include <linux/writeback.h>
#endif
#if __has_include(<linux/wwan.h>)
#include <linux/wwan.h>
#endif
#if __has_include(<linux/xarray.h>)
#include <linux/xarray.h>
#endif
#if __has_include(<linux/xattr.h>)
#include <linux/xattr.h>
#endif
#if __has_include(<linux/zlib.h>)
#include <linux/zlib.h>
#endif
#if __has_include(<linux/zstd.h>)
#include <linux/zstd.h>
#endif

/* Of the architecture, what has something of a debug feature in it. */
#if __has_include(<asm/debug-monitors.h>)
#include <asm/debug-monitors.h>
#endif
#if __has_include(<asm/ftrace.h>)
#include <asm/ftrace.h>
#endif
#if __has_include(<asm/hw_breakpoint.h>)
#include <asm/hw_breakpoint.h>
#endif
#if __has_include(<asm/intel_pt.h>)
#include <asm/intel_pt.h>
#endif
#if __has_include(<asm/kprobes.h>)
#include <asm/kprobes.h>
#endif
#if __has_include(<asm/mmu_context.h>)
#include <asm/mmu_context.h>
#endif
#if __has_include(<asm/module.h>)
#include <asm/module.h>
#endif
#if __has_include(<asm/perf_event.h>)
#include <asm/perf_event.h>
#endif
#if __has_include(<asm/probes.h>)
#include <asm/probes.h>
#endif
#if __has_include(<asm/processor.h>)
#include <asm/processor.h>
#endif
#if __has_include(<asm/stacktrace.h>)
#include <asm/stacktrace.h>
#endif
#if __has_include(<asm/traps.h>)
#include <asm/traps.h>
#endif
#if __has_include(<asm/unwind.h>)
#include <asm/unwind.h>
#endif
