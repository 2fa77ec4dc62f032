//! The files of two machines as their kernels write them, as far as they are looked at, each with its path below the root.
//! The numbers are made up where that shows more.

/// A PC with two interfaces and a sensor of the board beside that of the processor.
pub(super) const PC: &[(&str, &str)] = &[
    ("proc/loadavg", "1.96 1.44 1.41 6/131 10005\n"),
    ("sys/devices/system/cpu/online", "0-3,8-11\n"),
    (
        "proc/meminfo",
        "MemTotal:       24684092 kB\nMemFree:        22551376 kB\nMemAvailable:   23816996 kB\n\
         Buffers:            7076 kB\nCached:          1344248 kB\nSwapCached:            0 kB\n\
         Active:           625540 kB\nInactive:        1030216 kB\nActive(anon):       3148 kB\n\
         Unevictable:       14356 kB\nMlocked:           13436 kB\nSwapTotal:       2097148 kB\n\
         SwapFree:        2097000 kB\nZswap:                 0 kB\nDirty:             62032 kB\n\
         HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n",
    ),
    ("sys/class/thermal/thermal_zone0/temp", "27800\n"),
    ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
    ("sys/class/thermal/thermal_zone1/temp", "51500\n"),
    ("sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n"),
    ("sys/class/thermal/cooling_device0/temp", "99000\n"),
    ("proc/uptime", "13216.98 6560.73\n"),
    (
        "proc/net/dev",
        "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
         lo: 6032695486 19573700    0    0    0     0          0         0 6032695486 19573700    0    0    0     0       0          0\n  \
         eth0: 155498390    8478    3    0    0     0          0         0   543143    5035    1    0    0     0       0          0\n\
         wlp2s0:1000000000000     100    4    0    0     0          0         0     1000      50    2    0    0     0       0          0\n",
    ),
];

/// A Raspberry Pi on its wireless interface, with the cable unplugged and no swap.
pub(super) const RASPBERRY_PI: &[(&str, &str)] = &[
    ("proc/loadavg", "0.08 0.03 0.01 1/163 2741\n"),
    ("sys/devices/system/cpu/online", "0-3\n"),
    (
        "proc/meminfo",
        "MemTotal:         931808 kB\nMemFree:          512340 kB\nMemAvailable:     741276 kB\n\
         Buffers:           28144 kB\nCached:           253012 kB\nSwapCached:            0 kB\n\
         SwapTotal:             0 kB\nSwapFree:              0 kB\nDirty:                12 kB\n\
         VmallocTotal:    1130496 kB\nVmallocChunk:          0 kB\nCmaTotal:          65536 kB\n\
         CmaFree:           61204 kB\n",
    ),
    ("sys/class/thermal/thermal_zone0/temp", "48312\n"),
    ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
    ("proc/uptime", "350735.47 1388901.02\n"),
    (
        "proc/net/dev",
        "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
         lo:    2776      32    0    0    0     0          0         0     2776      32    0    0    0     0       0          0\n  \
         eth0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n \
         wlan0: 89241173  120933    0    7    0     0          0     20154  9117404   61277    0    0    0     0       0          0\n",
    ),
];
