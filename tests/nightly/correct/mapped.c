// SPDX-License-Identifier: GPL-2.0-only
/* A driver that maps memory for a device as it should: it asks whether that worked. */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

static int use_mapping(struct device *dev)
{
	void *buffer = kmalloc(512, GFP_KERNEL);
	dma_addr_t address;

	if (!buffer)
		return -ENOMEM;
	address = dma_map_single(dev, buffer, 512, DMA_TO_DEVICE);
	if (dma_mapping_error(dev, address)) {
		kfree(buffer);
		return -ENOMEM;
	}
	dma_unmap_single(dev, address, 512, DMA_TO_DEVICE);
	kfree(buffer);
	return 0;
}

static int __init mapped_init(void)
{
	struct platform_device *device = platform_device_register_simple("mapped", -1, NULL, 0);
	int error;

	if (IS_ERR(device))
		return PTR_ERR(device);
	error = dma_set_mask_and_coherent(&device->dev, DMA_BIT_MASK(64)) ?: use_mapping(&device->dev);
	platform_device_unregister(device);
	return error;
}

static void __exit mapped_exit(void)
{
}

module_init(mapped_init);
module_exit(mapped_exit);
MODULE_DESCRIPTION("Maps memory for a device as it should");
MODULE_LICENSE("GPL");
