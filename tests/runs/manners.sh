#!/usr/bin/env bash
# What `tlvk devices` and `tlvk selftest` tell of devices that this machine does not have: kinds and pairs of devices, one whose kernels lose a dispatch, one that
# stops answering, and one whose memory ends, by the layer of tests/layer.
# manners.sh TLVK FOLDER LAYER_FOLDER: the command, a folder to work in (made anew), where the layer is.
set -uo pipefail
tlvk=$1 work=$2/manners
export TLVK_CACHE_DIR=$work/cache VK_INSTANCE_LAYERS=VK_LAYER_TLVK_simulator VK_LAYER_PATH=$3 NODEVICE_SELECT=1
unset TLVK_DEVICE
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 1

fail() {
    printf 'FAILED: %s\n' "$*"
    cat out err
    exit 1
}

# on SETTINGS STATUS COMMAND...: what the command ends with on a device that the settings make.
on() {
    local settings=$1 wanted=$2 got
    shift 2
    TLVK_SIM=$settings "$@" >out 2>err </dev/null
    got=$?
    [[ $got == "$wanted" ]] || fail "$settings: $*: status $got, $wanted is wanted"
    if grep -q 'breach' err; then fail "$settings: $*"; fi
}

# says TEXT FILE: the text stands in it.
says() { grep -qF -- "$1" "$2" || fail "no '$1' in $2"; }

"$tlvk" devices >out 2>err
if [[ $? == 3 ]]; then
    echo 'skipped: no Vulkan device'
    exit 77
fi

# VkPhysicalDeviceType: 1 integrated, 2 discrete, 3 virtual, 4 a processor.
on type=2 0 "$tlvk" devices
says 'graphics card with memory of its own' out
says 'chosen: the only device' out
says 'can: train and predict in fp32' out
on type=3 0 "$tlvk" devices
says 'virtual machine' out
on type=4 0 "$tlvk" devices
says 'the processor itself' out
says 'a graphics card is listed here once its Vulkan driver is installed' out
on type=1,second_type=2 0 "$tlvk" devices
says '* 1  Second device' out
says 'chosen: a graphics card, taken before graphics built into the processor' out
says 'not chosen: graphics built into the processor, taken after a graphics card' out
says '--device' out
on type=1,second_type=2 0 "$tlvk" devices --device 0
says '* 0' out
says 'chosen: the program asks for "0"' out
says 'not chosen: the program asks for "0"' out
on type=1,second_type=2 0 env TLVK_DEVICE=0 "$tlvk" devices
says 'chosen: TLVK_DEVICE asks for "0"' out
on type=2,second_type=2 0 "$tlvk" devices
says '* 0' out
says 'chosen: a graphics card, the first of 2' out
says 'not chosen: as good as device 0' out
on type=1,second_type=2 3 "$tlvk" devices --device 2

# The second device works: its handle is another, and what runs on it is its driver's.
on type=1,second_type=2 0 "$tlvk" selftest --filter hazards --report second.txt
says 'device: Second device (discrete)' second.txt

on '' 0 "$tlvk" selftest --report good.txt
tail -n 1 out | grep -q '^this device is fit for: training fp32' || fail 'no verdict in the last line'
says 'this device is fit for: training fp32' good.txt
says ', 0 failed' good.txt

# One dispatch that is lost, in a chain of writes and in a sum.
for lost in 7 40; do
    on skip_dispatch=$lost 1 "$tlvk" selftest --filter hazards --report lost.txt
    tail -n 1 out | grep -q '^this device is NOT fit for training: 1 of 2 cases failed, the first is hazards: ' || fail 'no verdict in the last line'
    says 'FAILED hazards: ' lost.txt
    says 'again: tlvk selftest --seed 0 --filter "hazards: ' lost.txt
done
on skip_dispatch=60 1 "$tlvk" selftest --filter Dense --report dense.txt --seed 5
says 'FAILED Dense: ' dense.txt
says '--seed 5 --filter "Dense: ' dense.txt

on fail_call=vkQueueSubmit,fail_at=30,fail_result=-4 1 "$tlvk" selftest --report gone.txt
tail -n 1 out | grep -q '^this device is NOT fit for training: it stopped answering' || fail 'no verdict in the last line'
says 'stopped answering' gone.txt
says 'stopped answering' err
on fail_call=vkAllocateMemory,fail_at=9,fail_result=-2 1 "$tlvk" selftest --filter Dense --report small.txt
says 'the driver has no more' small.txt

on budget=96M 0 "$tlvk" selftest --filter memory --report budget.txt
on discrete=1,heap=96M 0 "$tlvk" selftest --filter memory --report heap.txt
on discrete=1,heap=256M,max_storage_buffer_range=1M 0 "$tlvk" selftest --filter memory --report range.txt
says 'ok' <("$tlvk" selftest --filter 'larger than a binding' -v)
echo 'kinds, choices, verdicts and reports are told'
